"""Paste a domain module from one LayerCake core into another, bit for bit.

Example: abi paste --from 48M --to 150M --domain chess --out 150M-with-chess
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from commands.render.paste import pasted_table, plan_table
from commands.session import Session

UNTRAINED = "untrained"  # the module that `--init-missing` makes where no --domain is named


def paste(
    session: Session,
    source: Annotated[str, typer.Option("--from", help="The core that has the module.")],
    to: Annotated[str, typer.Option("--to", help="The core that it is for.")],
    domain: Annotated[
        list[str] | None, typer.Option(help="A module's name; repeatable. Default: all of them.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default: a new core in the registry.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Its name in the registry; default: <to>-<domain>.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a module of that name, and --out.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, paste nothing.")
    ] = False,
    init_missing: Annotated[
        int | None,
        typer.Option(min=0, metavar="SEED", help="Make cores that are missing, untrained."),
    ] = None,
) -> None:
    """Copy a module's bytes from core to core: no model is built, nothing is computed."""
    from commands.core_folders import core_folder, make_untrained, refuse_taken, store_core
    from commands.inside_cores import module_records
    from transplant.backbones.layercake.sizes import SIZES
    from transplant.surgery.paste import paste as paste_files
    from transplant.surgery.paste import plan_paste

    for core, module in ((source, (domain or [UNTRAINED])[0]), (to, None)):
        missing = core in SIZES and not session.registry.holds_backbone(core)
        if missing and init_missing is not None:
            session.out.note(f"making an untrained {core}")
            make_untrained(session, core, init_missing, module)
    donor, target = core_folder(session, source, "--from"), core_folder(session, to, "--to")
    plan = plan_paste(donor, target, domain, replace=replace)
    title = f"{', '.join(module.name for module in plan.modules)}: {source} -> {to}"
    if dry_run:
        session.out.result(plan.as_dict(), plan_table(title, plan))
        return
    stored = name or "-".join([Path(to).name, *(module.name for module in plan.modules)])
    if out is None:
        refuse_taken(session, stored)
    with tempfile.TemporaryDirectory() as scratch, session.out.progress("pasting") as progress:
        folder = out or Path(scratch) / "core"
        report = paste_files(
            plan, folder, replace_out=replace,
            progress=lambda done, total: progress(done >> 20, total >> 20, "MiB"),
        )  # fmt: skip
        if out is None:
            records = module_records(session.registry, source)
            moved = {m.name: records[m.name] for m in plan.modules if m.name in records}
            modules = {**module_records(session.registry, to), **moved}
            folder = store_core(session, stored, folder, source=source, to=to, modules=modules).path
    found = {**report.as_dict(), "out": str(folder), "from": source, "to": to}
    session.out.result(found, pasted_table(title, found))
    note = (
        "The weights are identical; where the two cores were trained apart, what the module does "
        "there is not."
    )
    for module in plan.modules:
        if module.form == "lite":  # a move pairs single positions: `full` reads whole windows
            move = f"abi transfer --module {module.name}@{source} --to {to}"
            note += f" {move} fits it to its new core, and measures both."
    session.out.note(note)
