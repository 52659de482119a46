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
from commands.options.shared import AlsoEval, Explain, Replace, parse_sources
from commands.session import Session
from transplant.errors import InputError

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
    also_eval: AlsoEval = None,
    explain: Explain = False,
    replace: Replace = False,
) -> None:
    """Fit a new interface for a module, so that it works in another backbone."""
    from commands.render.calibration import calibrated_table
    from commands.render.sources import with_sources
    from commands.render.tried import explained
    from transplant.workflows.move.calibration import (
        calibrated_report,
        check_files,
        judge_calibrated,
    )
    from transplant.workflows.move.from_activations import reading_files
    from transplant.workflows.move.other_sources import read_others

    choice = objective.choice()
    check_files(choice, activations, domain_activations)
    sources = parse_sources(also_eval)
    if activations and sources:
        raise InputError("files hold no text to compare", expected="--also-eval with --data")
    move = moving.move(session, module, to)
    move.claim("module", "interface", replace=replace)
    source = (
        reading_files(move, activations, domain_activations) if activations else nullcontext(move)
    )
    with source as fitted:
        others = read_others(fitted, sources)
        started = fitted.start(choice)
        move = started.by(choice)
        stored = move.store(replace=replace)
    report = calibrated_report(move, choice, stored, started is not fitted)
    report |= judge_calibrated(move, others)
    shown = calibrated_table(report)
    if explain:
        shown = explained(shown, report.get("tried", ()))
    session.out.result(report, with_sources(shown, report))
