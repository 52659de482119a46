"""Train a LayerCake core from scratch, or the plain transformer that it is compared with.

Example: abi train-core --size 2M --data prose
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.groups import Fields, described_by
from commands.options.shared import EvalTokens, Resume, Text, Window
from commands.session import Session
from transplant.backbones.layercake.sizes import SIZES
from transplant.errors import InputError
from transplant.training.config import PretrainConfig
from transplant.validation import Bounds


@described_by("workflows.train.core.CoreJob")
def train_core(
    session: Session,
    *,
    size: Annotated[str, typer.Option(help=f"One of {', '.join(SIZES)}; see `abi cores`.")],
    data: Text = "prose",
    name: str | None = None,
    baseline: bool = False,
    config: Annotated[PretrainConfig, Fields("tokens batch learning_rate seed")],
    window: Window = 512,
    tokenizer: str | None = None,
    vocab: Annotated[int, Bounds(300)] = 4096,
    max_chars: int | None = None,
    eval_tokens: EvalTokens = 100_000,
    resume: Resume = False,
) -> None:
    """Train a LayerCake core from scratch, or (--baseline) the transformer to compare it with.

    Args:
        name: name in the registry; default: the size, or <size>-plain.
        baseline: train the matched plain transformer, not the core.
    """
    from transplant.tables.backbones import core_table
    from transplant.workflows.train.core import CoreJob, run_core_job

    if size not in SIZES:
        raise InputError("--size", expected=f"one of {', '.join(SIZES)}", found=size)
    job = CoreJob(
        size=SIZES[size], plain=baseline, name=name or (f"{size}-plain" if baseline else size),
        data=data, max_chars=max_chars, tokenizer=tokenizer, vocab=vocab, window=window,
        config=config, eval_tokens=eval_tokens,
    )  # fmt: skip
    report = run_core_job(session, job, resume=resume)
    session.out.result(report, core_table(report))
