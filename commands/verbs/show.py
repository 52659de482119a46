"""Show everything known about one artifact.

Example: abi show python@ref-gpt2
"""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from commands.options.shared import Named, Verify
from commands.output import table
from commands.session import Session

SHORT = 72  # characters of a value in the table


def show(
    session: Session,
    name: Named,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind; default: the module, else what there is.")
    ] = None,
    verify: Verify = False,
) -> None:
    """Show everything known about one artifact."""
    entry = session.find(name, kind)
    if verify:
        session.registry.verify(entry)
    manifest = entry.manifest
    report = {
        **dataclasses.asdict(manifest),
        "sha256": manifest.sha256,
        "path": str(entry.path),
        "verified": verify,
    }
    shown = table(f"{manifest.kind} {manifest.hosted}", "", "")
    shown.columns[1].justify = "left"
    for key, value in report.items():
        if key == "made":
            value = {k: v for k, v in value.items() if k != "token_counts"}
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        shown.add_row(key, text if len(text) <= SHORT else text[: SHORT - 3] + "...")
    session.out.result(report, shown)
