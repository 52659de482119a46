"""Fuse several transplanted modules on one layer; each position weighs them anew.

Example: abi fuse python@ref-gpt2 chess@ref-gpt2 --domain-data python --domain-data games.pgn
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.options.shared import Batch, EvalTokens, Rate, Replace, Window
from commands.session import Session
from transplant.surgery.fuse.config import COMBINER_NAMES, FuseConfig

DEFAULT = FuseConfig()


def fuse(
    session: Session,
    members: Annotated[
        list[str],
        typer.Argument(help="Two or more, hosted on one backbone: domain modules, or injections."),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--domain-data",
            "--data",
            help="Text to weigh them on, once for each domain; default: the modules' own.",
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(min=0, help="The block; default: where they work. Domain modules: the last."),
    ] = None,
    combiner: Annotated[
        str | None,
        typer.Option(
            help=f"{' or '.join(COMBINER_NAMES)}; default: both, the better on calibration text."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Hosted as NAME@<backbone>.")] = "fused",
    steps: Annotated[int, typer.Option(min=1, help="Steps.")] = DEFAULT.steps,
    batch: Batch = DEFAULT.batch,
    window: Window = DEFAULT.window,
    tokens: Annotated[
        int, typer.Option(min=64, help="Training tokens used, of all texts together.")
    ] = DEFAULT.train_tokens,
    learning_rate: Rate = DEFAULT.learning_rate,
    eval_tokens: EvalTokens = 20_000,
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Train what it is compared with.")
    ] = True,
    replace: Replace = False,
) -> None:
    """Fuse several transplanted modules on one layer; only the fusion is trained."""
    from transplant.tables.fusion import fusion_table
    from transplant.workflows.fuse.fusion import Fusing
    from transplant.workflows.fuse.report import run_fusion

    config = dataclasses.replace(
        DEFAULT, steps=steps, batch=batch, window=window, train_tokens=tokens,
        learning_rate=learning_rate, seed=session.seed,
    )  # fmt: skip
    texts = tuple(data or ())
    fusion = Fusing(session, tuple(members), texts, layer, config, combiner, eval_tokens)
    report = run_fusion(fusion, name, eval_tokens, controls=controls, replace=replace)
    session.out.result(report, fusion_table(report))
