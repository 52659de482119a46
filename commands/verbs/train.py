"""Train a domain module and its interface on a frozen backbone.

Example: abi train --backbone ref-gpt2 --domain python
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
from commands.options.train import TRAIN, TrainOptions
from commands.session import Session
from transplant.backbones.layercake.names import FORM_NAMES
from transplant.errors import InputError


def train(
    session: Session,
    *,
    backbone: BackboneOption,
    domain: Annotated[str, typer.Option(help="What the module is about; its default name.")],
    data: DomainText = None,
    form: Annotated[
        str | None, typer.Option(help="In a core: lite or full, a module inside it.")
    ] = None,
    activations: Annotated[
        Path | None,
        typer.Option("--from-activations", help="Rows of `abi capture` in place of the text."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name in the registry; default: domain, with --form <core>-<domain>."),
    ] = None,
    recipe: TrainOptions,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    also_eval: AlsoEval = None,
    resume: Resume = False,
    replace: Replace = False,
) -> None:
    """Train a domain module on a frozen backbone: with an interface, or inside a core."""
    from transplant.tables.sources import with_sources
    from transplant.tables.trained import trained_table
    from transplant.workflows.train.module import TrainJob, run_train_job

    if form not in (None, *FORM_NAMES):
        raise InputError("--form", expected=f"one of {', '.join(FORM_NAMES)}", found=form)
    if form is not None and (replace or recipe.d_abi != TRAIN.d_abi or recipe.taps != "last"):
        raise InputError(
            "a module inside a core reads what the core reads, and makes a new core",
            expected="--form without --d-abi, --taps and --replace",
        )
    if activations is not None and data is not None:
        raise InputError("the text is in the file", expected="--domain-data or --from-activations")
    others = parse_sources(also_eval)
    if activations is not None and others:
        raise InputError("a file holds no text to compare", expected="no --also-eval")
    default = domain if form is None else f"{Path(backbone).name}-{domain}"
    text = domain if data is None else data
    job = TrainJob(
        backbone, domain, text, name or default, recipe.config(session.seed),
        eval_tokens, form, activations, others,
    )  # fmt: skip
    report = run_train_job(session, job, resume=resume, replace=replace)
    session.out.result(report, with_sources(trained_table(report), report))
