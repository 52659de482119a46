"""Fit a new interface for a module, so that it works in another backbone.

Example: abi calibrate --module python@ref-gpt2 --to ref-llama --objective lm --tokens 32000
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.move import ModuleOption, MoveOptions, TargetOption
from commands.options.objective import ObjectiveOptions
from commands.options.shared import AlsoEval, Explain, Replace, parse_sources
from commands.session import Session

Files = typer.Option(
    "--from-activations",
    metavar="DONOR TARGET",
    help="Pair rows of two `abi capture` files of the same text, in place of --pair-data.",
)
DomainFile = typer.Option(help="The target's rows on the domain's text, for the gain.")


def calibrate(
    session: Session,
    *,
    module: ModuleOption,
    to: TargetOption,
    objective: ObjectiveOptions,
    moving: MoveOptions,
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

    report = run_calibration(
        moving.move(session, module, to), objective.choice(), paired=activations,
        domain=domain_activations, also_eval=parse_sources(also_eval), replace=replace,
    )  # fmt: skip
    shown = calibrated_table(report)
    if explain:
        shown = explained(shown, report.get("tried", ()))
    session.out.result(report, with_sources(shown, report))
