"""List the sizes of LayerCake cores, with their true parameter counts.

Example: abi cores
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.session import Session


def cores(
    session: Session,
    vocab: Annotated[int, typer.Option(min=1, help="Entries of the tokenizer.")] = 4096,
) -> None:
    """List the sizes of LayerCake cores, and which of them the registry holds."""
    from transplant.backbones.layercake.sizes import SIZES, count_parameters
    from transplant.tables.backbones import sizes_table

    rows = [
        {
            **dataclasses.asdict(size),
            "vocab": vocab,
            "parameters": count_parameters(size, vocab),
            "in_registry": session.registry.holds_backbone(size.name),
        }
        for size in SIZES.values()
    ]
    session.out.result({"cores": rows}, sizes_table(rows, vocab))
