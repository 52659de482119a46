"""List what the registry holds.

Example: abi list --kind module
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.output import table
from commands.session import Session
from registry.manifest import KINDS


def list_(
    session: Session,
    kind: Annotated[str | None, typer.Option(help=f"Only this kind: {', '.join(KINDS)}.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only what belongs to this one.")] = None,
) -> None:
    """List what the registry holds."""
    rows = []
    for entry in session.registry.entries(kind, backbone):
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
            }
        )
    for problem in session.registry.problems(backbone):
        session.out.warn(" ".join(str(problem).split()))
    shown = table(f"registry {session.registry.root}", "name", "kind", "backbone", "d_abi")
    for row in rows:
        shown.add_row(*(str(row[k] if row[k] is not None else "") for k in list(row)[:4]))
    session.out.result(rows, shown)
