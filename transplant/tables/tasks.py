"""Tables of benchmark tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transplant.tables.table import Table, left


def task_table(report: Mapping[str, Any]) -> Table:
    """A line for each task and metric: the value of each model and its standard error."""
    roles = [*report["systems"]]
    shown = Table(f"tasks on {report['model']}", "task", left("metric"), "questions", *roles)
    for task, found in report["tasks"].items():
        for metric, scores in found["metrics"].items():
            better = {True: " ↑", False: " ↓"}.get(scores["higher_is_better"], "")
            shown.add(
                task, metric.removesuffix(",none") + better, f"{found['questions'] or 0:,}",
                *(_value(scores[role]) for role in roles),
            )  # fmt: skip
    return shown


def _value(score: Mapping[str, float | None]) -> str:
    error = score["stderr"]
    return f"{score['value']:.4f}" + ("" if error is None else f" ± {error:.4f}")
