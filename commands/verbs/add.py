"""Add a backbone to the registry under a short name.

Example: abi add ~/models/SmolLM2-135M --name smollm2
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.shared import Replace
from commands.output import table
from commands.session import Session


def add(
    session: Session,
    source: Annotated[
        str,
        typer.Argument(
            help="A save_pretrained folder, a hub id, or a .gguf file, which is unpacked once to "
            "--dtype (default: bfloat16)."
        ),
    ],
    *,
    name: Annotated[str, typer.Option(help="Its name in the registry.")],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the files; else they stay where they are.")
    ] = False,
    replace: Replace = False,
) -> None:
    """Add a backbone under a short name: by reference, as a copy, or unpacked from a .gguf."""
    report = session.add(source, name, copy=copy, replace=replace)
    for note in report["notes"]:
        session.out.note(note)
    shown = table(f"backbone {name}", "", "")
    shown.columns[1].justify = "left"
    shown.add_row("family", f"{report['family']}, {report['parameters']:,} parameters")
    shown.add_row("layers", f"{report['layers']} of width {report['d_model']:,}")
    shown.add_row("tokens", f"{report['vocabulary']:,}, {report['context']:,} at once")
    shown.add_row("weights", f"sha256 {report['weights_sha256']}")
    shown.add_row("files", f"{report['folder']} ({report['bytes']:,} bytes)")
    if report["known"]:
        shown.add_row("known already", ", ".join(report["known"]))
    shown.caption = f"{report['added']['by']}; {report['seconds']:.1f} s"
    session.out.result(report, shown)
