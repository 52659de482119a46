"""Update a backbone again and again: does a module decay, does one hurt another?

Example: abi succession --module python@ref-gpt2 --module chess@ref-gpt2 --rounds 3
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.options import (
    EVAL_TOKENS,
    REPAIR,
    UPDATE,
    EvalTokens,
    RepairTokens,
    Stability,
    TrainInterface,
    UpdateBatch,
    UpdateKind,
    UpdateRate,
    UpdateSteps,
    UpdateWindow,
)
from commands.session import NotPassedError, Session


def succession(
    session: Session,
    module: Annotated[
        list[str], typer.Option(help="A module; once for each, all on one backbone.")
    ],
    update_data: Annotated[
        list[str] | None,
        typer.Option(help="Text of the updates, in turn; several may be given. Default: prose2."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Updates, one after the other.")] = 3,
    general: Annotated[str, typer.Option(help="Text that belongs to no module.")] = "prose",
    kind: UpdateKind = UPDATE.kind,
    steps: UpdateSteps = UPDATE.steps,
    batch: UpdateBatch = UPDATE.batch,
    window: UpdateWindow = UPDATE.window,
    learning_rate: UpdateRate = UPDATE.learning_rate,
    stability: Stability = UPDATE.stability,
    train_interface: TrainInterface = UPDATE.train_interface,
    repair_tokens: RepairTokens = REPAIR.tokens,
    eval_tokens: EvalTokens = EVAL_TOKENS,
) -> None:
    """Update a backbone several times and check every module after each; exit 3 under 50 %."""
    from commands.succession_report import succession_report, succession_tables
    from commands.updating import Study

    config = dataclasses.replace(
        UPDATE, kind=kind, steps=steps, batch=batch, window=window, learning_rate=learning_rate,
        stability=stability, train_interface=train_interface, seed=session.seed,
    )  # fmt: skip
    repair = dataclasses.replace(REPAIR, tokens=repair_tokens)
    study = Study(session, config, repair, eval_tokens)
    report = succession_report(study, module, update_data or ["prose2"], rounds, general)
    session.out.result(report, succession_tables(report))
    if not report["passed"]:
        raise NotPassedError
