"""A document as one page of HTML that needs nothing else."""

from __future__ import annotations

from transplant.pictures.document.blocks import Document
from transplant.pictures.document.lineage import draw_lineage
from transplant.pictures.heat_map import colour_of, said_of
from transplant.pictures.page import fill


def as_html(document: Document) -> str:
    """The page: light or dark as the reader's system, wide or narrow, in print without colour."""
    return fill(
        "document", document=document, colour=colour_of, said=said_of, draw_lineage=draw_lineage
    )
