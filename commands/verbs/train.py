"""Train a domain module and its interface on a frozen backbone.

Example: abi train --backbone ref-gpt2 --domain python
"""

from __future__ import annotations

from typing import Annotated

from commands.options import DOMAIN_DATA, Field, Fields, Replace, Resume, named_paths
from commands.options.move import TAPS
from commands.session import Session
from transplant.workflows.train.job import TrainJob

TRAINED = Fields(
    "backbone domain form name eval_tokens", data=DOMAIN_DATA,
    activations=Field(spelled="--from-activations"),
    config=Fields(
        "d_abi steps batch window window_choice learning_rate matmul_type seed", taps=TAPS,
        tokens=Field(of="train_tokens"),
    ),
    also_eval=named_paths("also_eval"),
)  # fmt: skip


def train(
    session: Session,
    *,
    job: Annotated[TrainJob, TRAINED],
    resume: Resume = False,
    replace: Replace = False,
) -> None:
    """Train a domain module on a frozen backbone: with an interface, or inside a core."""
    from transplant.tables.sources import with_sources
    from transplant.tables.trained import trained_table
    from transplant.workflows.train.module import run_train_job

    report = run_train_job(session, job, resume=resume, replace=replace)
    session.out.result(report, with_sources(trained_table(report), report))
