"""Fit a new interface for a module, so that it works in another backbone.

Example: abi calibrate --module python@ref-gpt2 --to ref-llama --objective lm --tokens 32000
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from commands.options.move import ModuleOption, MoveOptions, TargetOption
from commands.options.objective import ObjectiveOptions
from commands.options.shared import Explain, Replace
from commands.session import Session

Files = typer.Option(
    "--from-activations",
    metavar="DONOR TARGET",
    help="Pair rows of two `abi capture` files of the same text, in place of --data.",
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
    explain: Explain = False,
    replace: Replace = False,
) -> None:
    """Fit a new interface for a module, so that it works in another backbone."""
    from commands.render.calibration import calibrated_table
    from commands.render.tried import explained
    from transplant.workflows.move.calibration import calibrated_report, check_files
    from transplant.workflows.move.from_activations import reading_files

    choice = objective.choice()
    check_files(choice, activations, domain_activations)
    move = moving.move(session, module, to)
    move.claim("module", "interface", replace=replace)
    source = (
        reading_files(move, activations, domain_activations) if activations else nullcontext(move)
    )
    with source as fitted:
        started = fitted.start(choice)
        move = started.by(choice)
        stored = move.store(replace=replace)
    report = calibrated_report(move, choice, stored, started is not fitted)
    shown = calibrated_table(report)
    session.out.result(report, explained(shown, report.get("tried", ())) if explain else shown)
