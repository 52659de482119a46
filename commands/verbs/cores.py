"""List the sizes of LayerCake cores, with their true parameter counts.

Example: abi cores
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field
from commands.session import Session


def cores(
    session: Session,
    vocab: Annotated[int, Field(low=1, help="Entries of the tokenizer.")] = 4096,
) -> None:
    """List the sizes of LayerCake cores, and which of them the registry holds."""
    from transplant.backbones.layercake.sizes import describe_sizes
    from transplant.tables.backbones import sizes_table

    rows = describe_sizes(vocab, session.registry.holds_backbone)
    session.out.result({"cores": rows}, sizes_table(rows, vocab))
