"""Train a domain module and its interface on a frozen backbone.

Example: abi train --backbone ref-gpt2 --domain python
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.groups import Field, Fields, described_by
from commands.options.move import TAPS
from commands.options.shared import (
    EVAL_TOKENS,
    AlsoEval,
    BackboneOption,
    DomainText,
    EvalTokens,
    Replace,
    Resume,
    parse_sources,
)
from commands.session import Session
from transplant.errors import InputError
from transplant.training.config import TrainConfig


@described_by("workflows.train.module.TrainJob")
def train(
    session: Session,
    *,
    backbone: BackboneOption,
    domain: str,
    data: DomainText = None,
    form: str | None = None,
    activations: Annotated[Path | None, typer.Option("--from-activations")] = None,
    name: str | None = None,
    config: Annotated[
        TrainConfig,
        Fields(
            "d_abi steps batch window learning_rate matmul_type seed",
            taps=TAPS,
            tokens=Field(of="train_tokens"),
        ),
    ],
    eval_tokens: EvalTokens = EVAL_TOKENS,
    also_eval: AlsoEval = None,
    resume: Resume = False,
    replace: Replace = False,
) -> None:
    """Train a domain module on a frozen backbone: with an interface, or inside a core.

    Args:
        name: name in the registry; default: domain, with --form <core>-<domain>.
    """
    from transplant.tables.sources import with_sources
    from transplant.tables.trained import trained_table
    from transplant.workflows.train.module import TrainJob, run_train_job

    if activations is not None and data is not None:
        raise InputError("the text is in the file", expected="--domain-data or --from-activations")
    default = domain if form is None else f"{Path(backbone).name}-{domain}"
    job = TrainJob(
        backbone, domain, data or domain, name or default, config, eval_tokens, form, activations,
        parse_sources(also_eval),
    )  # fmt: skip
    report = run_train_job(session, job, resume=resume, replace=replace)
    session.out.result(report, with_sources(trained_table(report), report))
