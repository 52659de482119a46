"""Train a LayerCake core from scratch, or the plain transformer that it is compared with.

Example: abi train-core --size 2M --data prose
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.options.shared import Batch, EvalTokens, Rate, Resume, Window
from commands.session import Session
from transplant.backbones.layercake.sizes import SIZES
from transplant.errors import InputError
from transplant.training.config import PretrainConfig

PRETRAIN = PretrainConfig()


def train_core(
    session: Session,
    size: Annotated[str, typer.Option(help=f"One of {', '.join(SIZES)}; see `abi cores`.")],
    data: Annotated[
        str, typer.Option(help="Text: prose, python, a file, a folder, a data set.")
    ] = "prose",
    name: Annotated[
        str | None, typer.Option(help="Name in the registry; default: the size, or <size>-plain.")
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option("--baseline", help="Train the matched plain transformer, not the core."),
    ] = False,
    tokens: Annotated[int, typer.Option(help="Tokens to read.")] = PRETRAIN.tokens,
    batch: Batch = PRETRAIN.batch,
    window: Window = 512,
    learning_rate: Rate = PRETRAIN.learning_rate,
    tokenizer: Annotated[
        str | None, typer.Option(help="A backbone whose tokenizer it takes; default: train one.")
    ] = None,
    vocab: Annotated[int, typer.Option(min=300, help="Entries of a trained tokenizer.")] = 4096,
    max_chars: Annotated[
        int | None, typer.Option(help="Characters of the text to use; default: all.")
    ] = None,
    eval_tokens: EvalTokens = 100_000,
    resume: Resume = False,
) -> None:
    """Train a LayerCake core from scratch, or (--baseline) the transformer to compare it with."""
    from transplant.tables.backbones import core_table
    from transplant.workflows.train.core import CoreJob, run_core_job

    if size not in SIZES:
        raise InputError("--size", expected=f"one of {', '.join(SIZES)}", found=size)
    config = dataclasses.replace(
        PRETRAIN, tokens=tokens, batch=batch, learning_rate=learning_rate, seed=session.seed
    )
    job = CoreJob(
        size=SIZES[size],
        plain=baseline,
        name=name or (f"{size}-plain" if baseline else size),
        data=data,
        max_chars=max_chars,
        tokenizer=tokenizer,
        vocab=vocab,
        window=window,
        config=config,
        eval_tokens=eval_tokens,
    )
    report = run_core_job(session, job, resume=resume)
    session.out.result(report, core_table(report))
