"""Say what a bank holds: shapes, parameters, hashes, and where it comes from.

Example: abi inspect llama-parts --verify
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, cast

import typer

from commands.options.shared import Verify
from commands.session import Session

if TYPE_CHECKING:
    from registry.entry import Entry


def inspect_(
    session: Session,
    name: Annotated[str, typer.Argument(help="A bank, or bank@backbone.")],
    verify: Verify = False,
) -> None:
    """Say what a bank holds: shapes, parameters, hashes, and where it comes from."""
    from transplant.tables.banks import bank_table
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
    session.out.result(report, bank_table(report))
