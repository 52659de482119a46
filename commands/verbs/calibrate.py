"""Fit a new interface for a module, so that it works in another backbone.

Example: abi calibrate --module python@ref-gpt2 --to ref-llama --objective lm --tokens 32000
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.groups import described_by
from commands.options.move import MoveRecipe, PairingData
from commands.options.objective import Objective
from commands.options.shared import AlsoEval, Explain, NameOption, Replace, parse_sources
from commands.session import Session

Files = typer.Option(
    "--from-activations",
    metavar="DONOR TARGET",
    help="Pair rows of two `abi capture` files of the same text, in place of --pair-data.",
)
DomainFile = typer.Option(help="The target's rows on the domain's text, for the gain.")


@described_by("workflows.transfer.job.TransferJob")
def calibrate(
    session: Session,
    *,
    module: str,
    to: str,
    objective: Objective,
    data: PairingData = "prose",
    domain_data: str | None = None,
    config: MoveRecipe,
    text_free: bool = False,
    general: str | None = None,
    name: NameOption = None,
    activations: Annotated[tuple[Path, Path] | None, Files] = None,
    domain_activations: Annotated[Path | None, DomainFile] = None,
    also_eval: AlsoEval = None,
    explain: Explain = False,
    replace: Replace = False,
) -> None:
    """Fit a new interface for a module, so that it works in another backbone."""
    from transplant.tables.calibration import calibrated_table
    from transplant.tables.sources import with_sources
    from transplant.tables.tried import explained
    from transplant.workflows.move.calibration import run_calibration

    move = session.move(
        module, to, pair_on=data, domain_data=domain_data, config=config, name=name,
        text_free=text_free, general=general,
    )  # fmt: skip
    report = run_calibration(
        move, objective, paired=activations, domain=domain_activations,
        also_eval=parse_sources(also_eval), replace=replace,
    )  # fmt: skip
    shown = calibrated_table(report)
    if explain:
        shown = explained(shown, report.get("tried", ()))
    session.out.result(report, with_sources(shown, report))
