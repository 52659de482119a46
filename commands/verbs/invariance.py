"""Update a backbone and see what its module is still worth: exit 3 under 50 %.

Example: abi invariance --module python@ref-gpt2 --update-data prose2 --stability 1.0
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.fence import NotPassedError
from commands.options.shared import HostedOption
from commands.options.update import UpdateOptions
from commands.session import Session


def invariance(
    session: Session,
    module: HostedOption,
    update: UpdateOptions,
    update_data: Annotated[
        str, typer.Option(help="What the backbone learns: prose2, a file, a folder, a data set.")
    ] = "prose2",
    seeds: Annotated[int, typer.Option(min=1, help="Updates, each with a seed of its own.")] = 1,
) -> None:
    """Update a copy of a backbone, apply the old module; exit 3 unless 50 % is left."""
    from transplant.evaluation.invariance import FAIL, NO_CEILING
    from transplant.tables.invariance import invariance_table
    from transplant.workflows.update.invariance import invariance_report

    report = invariance_report(update.study(session), module, update_data, seeds)
    session.out.result(report, invariance_table(report))
    if report["verdict"] in (FAIL, NO_CEILING):
        raise NotPassedError
