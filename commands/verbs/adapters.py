"""Import a LoRA that PEFT has saved: attached to a backbone, or merged into a new one.

Example: abi adapters --import ./my-lora --to ref-llama --name law
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from commands.options.shared import Replace
from commands.output import table
from commands.session import Session
from transplant.errors import InputError


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
    from transplant.surgery.lora.folder import read_lora
    from transplant.surgery.lora.match import match_lora
    from transplant.workflows.adapters import store_attached, store_merged, warn_of_base
    from transplant.workflows.cores.folders import claim_core, weights_bytes

    stored = name or re.sub(r"[^A-Za-z0-9._-]+", "-", source.resolve().name).lstrip("._-")
    if merge and replace:
        raise InputError("--replace: a backbone is never replaced", hint="abi rm, or --name")
    if merge:
        claim_core(session, stored, weights_bytes(session, to))
    else:
        session.library.check_free(("module", "injection", "linear", "basis"), stored, to, None)
        session.library.claim(("adapter",), stored, to, None, replace=replace)
    folder = read_lora(source)
    backbone = session.backbone(to)
    update = match_lora(folder, backbone)
    warn_of_base(session, backbone, folder)
    with backbone.frozen():
        store = store_merged if merge else store_attached
        report = store(session, stored, backbone, folder, update, replace=replace)
    shown = table(f"{report['name']}: {source.name}", "", "")
    shown.add_row("maps that it changes", f"{report['pairs']}")
    shown.add_row("parameters", f"{report['parameters']:,}")
    shown.add_row("ranks", ", ".join(map(str, report["ranks"])))
    shown.add_row("scales", ", ".join(f"{scale:g}" for scale in report["scales"]))
    if report["whole"]:
        shown.add_row("parameters trained whole", f"{len(report['whole'])}")
    for what, value in report["logits"].items():
        shown.add_row(what.replace("_", " "), f"{value:.2e}")
    session.out.result(report, shown)
