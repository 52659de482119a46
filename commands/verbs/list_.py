"""List what the registry holds.

Example: abi list --kind module
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.output import table
from commands.session import Session
from registry.manifest import KINDS
from transplant.library import difference


def list_(
    session: Session,
    kind: Annotated[str | None, typer.Option(help=f"Only this kind: {', '.join(KINDS)}.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only what belongs to this one.")] = None,
) -> None:
    """List what the registry holds."""
    rows = []
    if backbone is not None:
        session.recognise(backbone)
    entries = session.registry.entries(kind, backbone)
    held = [each.manifest for each in session.registry.entries("backbone")]
    for entry in entries:
        manifest = entry.manifest
        rows.append(
            {
                "name": manifest.name,
                "kind": manifest.kind,
                "backbone": manifest.backbone.id,
                "d_abi": manifest.d_abi,
                "path": str(entry.path),
                "domain": manifest.domain,
                "shipped": entry.shipped,
                "also_on": [
                    other.name
                    for other in held
                    if other.name != manifest.backbone.id
                    and difference(other.backbone, manifest.backbone) is None
                ],
            }
        )
    for problem in session.registry.problems(backbone):
        session.out.warn(" ".join(str(problem).split()))
    shown = table(f"registry {session.registry.root}", "name", "kind", "backbone", "d_abi")
    for row in rows:
        on = " = ".join([row["backbone"], *row["also_on"]])  # other names of the same weights
        shown.add_row(row["name"], row["kind"], on, str(row["d_abi"] or ""))
    session.out.result(rows, shown)
