"""Fit a new interface for a module, so that it works in another backbone.

Example: abi calibrate --module python@ref-gpt2 --to ref-llama --objective lm --tokens 32000
"""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from commands import options
from commands.session import Session

Files = typer.Option(
    "--from-activations",
    metavar="DONOR TARGET",
    help="Pair rows of two `abi capture` files of the same text, in place of --data.",
)
DomainFile = typer.Option(help="The target's rows on the domain's text, for the gain.")


def calibrate(
    session: Session,
    module: options.ModuleOption,
    to: options.TargetOption,
    objective: options.Objective = "closed-form",
    anchor: options.Anchor = None,
    tokens: options.DomainTokens = None,
    steps: options.Steps = None,
    train: options.Train = None,
    schedule: options.Schedule = None,
    learning_rate: options.Rate = None,
    data: options.PairingData = "prose",
    domain_data: options.DomainData = None,
    method: options.Method = options.MOVE.method,
    excerpts: options.Excerpts = options.MOVE.excerpts,
    taps: options.TargetTaps = "all",
    activations: Annotated[tuple[Path, Path] | None, Files] = None,
    domain_activations: Annotated[Path | None, DomainFile] = None,
    name: options.NameOption = None,
    explain: options.Explain = False,
    replace: options.Replace = False,
) -> None:
    """Fit a new interface for a module, so that it works in another backbone."""
    from commands.calibrated import calibrated_report, calibrated_table, check_files
    from commands.captured_pairs import reading_files
    from commands.explaining import explained
    from commands.moving import Move
    from commands.objectives import ObjectiveChoice, apply_objective
    from commands.reused_bridge import reuse_bridge

    choice = ObjectiveChoice(
        objective=objective, anchor=anchor, tokens=tokens, steps=steps, train=train,
        schedule=schedule, learning_rate=learning_rate,
    )  # fmt: skip
    choice.check()
    check_files(choice, activations, domain_activations)
    config = dataclasses.replace(
        options.MOVE,
        method=method,
        excerpts=excerpts,
        taps=options.parse_taps(taps),
        seed=session.seed,
    )
    move = Move(session, module, to, data, domain_data, config, name)
    if not replace:
        move.refuse_taken("module", "interface")
    source = reading_files(move, activations, domain_activations) if activations else nullcontext()
    with source:
        fits_as_stored = choice.reads_pairs(move) and not choice.pairs_budget
        reused = fits_as_stored and reuse_bridge(move)
        apply_objective(move, choice)
        stored = move.store({}, replace=replace)
    report = calibrated_report(move, choice, stored, reused)
    shown = calibrated_table(report)
    session.out.result(report, explained(shown, report.get("tried", ())) if explain else shown)
