"""List the sizes of LayerCake cores, with their true parameter counts.

Example: abi cores
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.output import table
from commands.session import Session


def cores(
    session: Session,
    vocab: Annotated[int, typer.Option(min=1, help="Entries of the tokenizer.")] = 4096,
) -> None:
    """List the sizes of LayerCake cores, and which of them the registry holds."""
    from transplant.backbones.layercake.sizes import SIZES, count_parameters

    rows = [
        {
            **dataclasses.asdict(size),
            "vocab": vocab,
            "parameters": count_parameters(size, vocab),
            "in_registry": session.registry.holds_backbone(size.name),
        }
        for size in SIZES.values()
    ]
    shown = table(
        f"LayerCake cores, parameters with {vocab:,} tokens",
        "name", "parameters", "d_model", "layers", "heads", "d_ff", "d_abi", "in the registry",
    )  # fmt: skip
    for row in rows:
        numbers = (row[key] for key in ("d_model", "n_layers", "n_heads", "d_ff", "d_abi"))
        there = "yes" if row["in_registry"] else "no"
        shown.add_row(row["name"], f"{row['parameters']:,}", *map(str, numbers), there)
    session.out.result({"cores": rows}, shown)
