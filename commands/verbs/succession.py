"""Update a backbone again and again: does a module decay, does one hurt another?

Example: abi succession --module python@ref-gpt2 --module chess@ref-gpt2 --rounds 3
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.fence import NotPassedError
from commands.options.update import UpdateOptions
from commands.session import Session


def succession(
    session: Session,
    module: Annotated[
        list[str], typer.Option(help="A module; once for each, all on one backbone.")
    ],
    update: UpdateOptions,
    update_data: Annotated[
        list[str] | None,
        typer.Option(help="Text of the updates, in turn; several may be given. Default: prose2."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Updates, one after the other.")] = 3,
    general: Annotated[str, typer.Option(help="Text that belongs to no module.")] = "prose",
) -> None:
    """Update a backbone several times and check every module after each; exit 3 under 50 %."""
    from transplant.tables.invariance import succession_sheet
    from transplant.workflows.update.succession import succession_report

    texts = update_data or ["prose2"]
    report = succession_report(update.study(session), module, texts, rounds, general)
    session.out.result(report, succession_sheet(report))
    if not report["passed"]:
        raise NotPassedError
