"""Paste a domain module from one LayerCake core into another, bit for bit.

Example: abi paste --from 48M --to 150M --domain chess --out 150M-with-chess
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field, Fields
from commands.session import Session
from transplant.workflows.paste import PasteJob

PASTED = Fields(
    "source to out name replace", domain=Field(of="modules"), init_missing=Field(metavar="SEED")
)


def paste(session: Session, *, job: Annotated[PasteJob, PASTED], dry_run: bool = False) -> None:
    """Copy a module's bytes from core to core: no model is built, nothing is computed.

    Args:
        dry_run: check everything, paste nothing.
    """
    from transplant.tables.paste import pasted_table, plan_table
    from transplant.workflows.paste import note_of, paste_plan, plan_job

    plan = plan_job(session, job)
    title = f"{', '.join(module.name for module in plan.modules)}: {job.source} -> {job.to}"
    if dry_run:
        session.out.result(plan.as_dict(), plan_table(title, plan))
        return
    found = paste_plan(session, job, plan)
    session.out.result(found, pasted_table(title, found))
    session.out.note(note_of(plan, job))
