"""Run benchmark tasks of lm-eval on a model, beside its raw backbone and a native.

Example: abi eval python-from-ref-gpt2@ref-llama --tasks hellaswag,arc_easy --limit 200
Example: abi eval python@ref-gpt2 --task-path ./my-task.yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import Fields, Named, NativeBeside, described_by
from commands.session import Session
from transplant.evidence.harness.config import EvalConfig


@described_by("evidence.harness.job.run_eval")
def eval_(
    session: Session,
    *,
    name: Named,
    tasks: list[str] | None = None,
    task_path: Path | None = None,
    native: NativeBeside = None,
    config: Annotated[EvalConfig, Fields("limit shots batch")],
) -> None:
    """Run benchmark tasks of lm-eval on a model, beside its raw backbone and a native.

    Args:
        tasks: tasks, groups or tags of lm-eval: a,b,c. Repeatable.
    """
    from transplant.tables.tasks import task_table

    names = [one.strip() for text in tasks or () for one in text.split(",") if one.strip()]
    report = session.eval(name, names, task_path=task_path, native=native, config=config)
    session.out.result(report, task_table(report))
