"""Import a LoRA that PEFT has saved: attached to a backbone, or merged into a new one.

Example: abi adapters --import ./my-lora --to ref-llama --name law
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.shared import Replace
from commands.session import Session


def adapters(
    session: Session,
    source: Annotated[
        Path, typer.Option("--import", help="The folder that PEFT's save_pretrained wrote.")
    ],
    to: Annotated[str, typer.Option("--to", help="The backbone that it was trained on.")],
    name: Annotated[
        str | None,
        typer.Option(help="Hosted as NAME@<backbone>; merged: the new backbone. Default: FOLDER."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Store a new backbone with the adapter in its weights.")
    ] = False,
    replace: Replace = False,
) -> None:
    """Import a LoRA that PEFT has saved: attached to a backbone, or merged into a new one."""
    from transplant.tables.adapters import lora_table
    from transplant.workflows.adapters import import_lora

    report = import_lora(session, source, to, name=name, merge=merge, replace=replace)
    session.out.result(report, lora_table(report, source.name))
