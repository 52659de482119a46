"""Take pieces out of a backbone into a bank: embeddings, heads, feed-forward parts, the head.

Example: abi extract --backbone ref-llama --components heads,ffn --name llama-parts
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.shared import Replace, parse_layers
from commands.session import Session


def extract(
    session: Session,
    backbone: Annotated[str, typer.Option(help="The donor: a registry name, folder or hub id.")],
    name: Annotated[str, typer.Option(help="The bank's name in the registry.")],
    components: Annotated[
        str, typer.Option(help="Of embeddings, heads, ffn, lm_head; separated by commas.")
    ] = "embeddings,heads,ffn,lm_head",
    layers: Annotated[
        str, typer.Option(help="Blocks whose heads and ffn are taken: all, or as 0,2-4.")
    ] = "all",
    replace: Replace = False,
) -> None:
    """Take pieces out of a backbone into a bank."""
    from transplant.tables.banks import extracted_table
    from transplant.workflows.inject.banks import extract_bank

    wanted = [part.strip() for part in components.split(",") if part.strip()]
    report = extract_bank(session, backbone, name, wanted, parse_layers(layers), replace=replace)
    session.out.result(report, extracted_table(report))
