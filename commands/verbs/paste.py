"""Paste a domain module from one LayerCake core into another, bit for bit.

Example: abi paste --from 48M --to 150M --domain chess --out 150M-with-chess
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.session import Session
from transplant.tables.paste import pasted_table, plan_table


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
    from transplant.workflows.paste import PasteJob, paste_plan, plan_job

    job = PasteJob(source, to, tuple(domain) if domain else None, out, name, replace, init_missing)
    plan = plan_job(session, job)
    title = f"{', '.join(module.name for module in plan.modules)}: {source} -> {to}"
    if dry_run:
        session.out.result(plan.as_dict(), plan_table(title, plan))
        return
    found = paste_plan(session, job, plan)
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
