"""Update a backbone and see what its module is still worth: exit 3 under 50 %.

Example: abi invariance --module python@ref-gpt2 --update-data prose2 --stability 1.0
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


def invariance(
    session: Session,
    module: Annotated[str, typer.Option(help="The module, as in python@ref-gpt2.")],
    update_data: Annotated[
        str, typer.Option(help="What the backbone learns: prose2, a file, a folder, a data set.")
    ] = "prose2",
    kind: UpdateKind = UPDATE.kind,
    steps: UpdateSteps = UPDATE.steps,
    batch: UpdateBatch = UPDATE.batch,
    window: UpdateWindow = UPDATE.window,
    learning_rate: UpdateRate = UPDATE.learning_rate,
    stability: Stability = UPDATE.stability,
    train_interface: TrainInterface = UPDATE.train_interface,
    seeds: Annotated[int, typer.Option(min=1, help="Updates, each with a seed of its own.")] = 1,
    repair_tokens: RepairTokens = REPAIR.tokens,
    eval_tokens: EvalTokens = EVAL_TOKENS,
) -> None:
    """Update a copy of a backbone, apply the old module to it, and print what is left."""
    from commands.invariance_report import invariance_report, invariance_table
    from commands.updating import Study

    config = dataclasses.replace(
        UPDATE, kind=kind, steps=steps, batch=batch, window=window, learning_rate=learning_rate,
        stability=stability, train_interface=train_interface, seed=session.seed,
    )  # fmt: skip
    repair = dataclasses.replace(REPAIR, tokens=repair_tokens)
    study = Study(session, config, repair, eval_tokens)
    report = invariance_report(study, module, update_data, seeds)
    session.out.result(report, invariance_table(report))
    if report["verdict"] == "fail":
        raise NotPassedError
