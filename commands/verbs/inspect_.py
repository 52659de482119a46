"""Say what a bank holds: shapes, parameters, hashes, and where it comes from.

Example: abi inspect llama-parts --verify
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, cast

import typer

from commands.options.shared import Verify
from commands.output import table
from commands.session import Session

if TYPE_CHECKING:
    from registry.entry import Entry


def inspect_(
    session: Session,
    name: Annotated[str, typer.Argument(help="A bank, or bank@backbone.")],
    verify: Verify = False,
) -> None:
    """Say what a bank holds: shapes, parameters, hashes, and where it comes from."""
    from transplant.workflows.inject.banks import describe_pieces, find_bank

    entry = cast("Entry", find_bank(session, name))
    if verify:
        session.registry.verify(entry)
    manifest = entry.manifest
    pieces = describe_pieces(manifest)
    report = {
        "name": manifest.name,
        "backbone": dataclasses.asdict(manifest.backbone),
        "sha256": manifest.sha256,
        "parameters": sum(piece["parameters"] for piece in pieces),
        "pieces": pieces,
        "made": {key: value for key, value in manifest.made.items() if key != "pieces"},
        "path": str(entry.path),
        "verified": verify,
    }
    shown = table(
        f"bank {manifest.name}  (from {manifest.backbone.id}, sha256 {manifest.sha256[:12]})",
        "piece", "parameters", "sha256", "tensors",
    )  # fmt: skip
    shown.columns[-1].justify, shown.columns[-1].no_wrap = "left", False
    for piece in pieces:
        shapes = ", ".join(f"{key} {'x'.join(map(str, s))}" for key, s in piece["tensors"].items())
        shown.add_row(piece["piece"], f"{piece['parameters']:,}", piece["sha256"][:12], shapes)
    session.out.result(report, shown)
