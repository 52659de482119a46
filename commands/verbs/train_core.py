"""Train a LayerCake core from scratch, or the plain transformer that it is compared with.

Example: abi train-core --size 2M --data prose
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Fields, Resume
from commands.session import Session
from transplant.workflows.train.core_job import CoreJob

TRAINED = Fields(
    "size data name baseline window tokenizer vocab max_chars eval_tokens",
    config=Fields("tokens batch learning_rate seed"),
)


def train_core(
    session: Session, *, job: Annotated[CoreJob, TRAINED], resume: Resume = False
) -> None:
    """Train a LayerCake core from scratch, or (--baseline) the transformer to compare it with."""
    from transplant.tables.backbones import core_table
    from transplant.workflows.train.core import run_core_job

    report = run_core_job(session, job, resume=resume)
    session.out.result(report, core_table(report))
