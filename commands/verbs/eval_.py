"""Run benchmark tasks of lm-eval on a model, beside its raw backbone and a native.

Example: abi eval python-from-ref-gpt2@ref-llama --tasks hellaswag,arc_easy --limit 200
Example: abi eval python@ref-gpt2 --task-path ./my-task.yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.shared import Named, NativeBeside
from commands.session import Session
from transplant.workflows.harness.config import EvalConfig

ASKED = EvalConfig()


def eval_(
    session: Session,
    name: Named,
    tasks: Annotated[
        list[str] | None,
        typer.Option(help="Tasks, groups or tags of lm-eval: a,b,c. Repeatable."),
    ] = None,
    task_path: Annotated[
        Path | None, typer.Option(help="A YAML file of a task of your own, or a folder of them.")
    ] = None,
    native: NativeBeside = None,
    limit: Annotated[
        int | None, typer.Option(help="The first so many questions of each task; default: all.")
    ] = ASKED.limit,
    shots: Annotated[
        int | None, typer.Option(help="Examples before each question; default: the task's.")
    ] = ASKED.shots,
    batch: Annotated[int, typer.Option(help="Texts that are read at once.")] = ASKED.batch,
) -> None:
    """Run benchmark tasks of lm-eval on a model, beside its raw backbone and a native."""
    from transplant.tables.tasks import task_table

    names = [one.strip() for text in tasks or () for one in text.split(",") if one.strip()]
    config = EvalConfig(limit=limit, shots=shots, batch=batch)
    report = session.eval(name, names, task_path=task_path, native=native, config=config)
    session.out.result(report, task_table(report))
