"""Benchmark tasks on a hosted model, its raw backbone and a native, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import BackboneError, foreign
from transplant.evidence.beside import load_beside
from transplant.evidence.harness.config import EvalConfig
from transplant.evidence.harness.tasks import find_tasks, quiet_harness
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel


def run_eval(
    work: Work,
    model: str,
    tasks: Sequence[str],
    *,
    task_path: str | Path | None = None,
    native: str | None = None,
    config: EvalConfig | None = None,
) -> dict[str, Any]:
    """Runs tasks of lm-eval on a hosted model, its raw backbone and a native.

    Args:
        work: library, device, seed and reporter.
        model: a backbone, or what is hosted on one.
        tasks: names of tasks, groups or tags of lm-eval.
        task_path: a YAML file of a user's task, or a folder of them.
        native: see `load_beside`.
        config: how.

    Returns:
        The report: for each task and metric, by role, the value and its standard error.

    Raises:
        InputError: no lm-eval, or no task.
        NotFoundError: no such task or model.
        CorpusError: a task whose data is not to be had.
    """
    config = config or EvalConfig()
    manager, wanted = find_tasks(tasks, task_path)
    systems = load_beside(work, model, native)
    results = {
        role: _evaluate(work, role, one, manager, wanted, config) for role, one in systems.items()
    }
    return {
        "model": model,
        "systems": {role: one.name for role, one in systems.items()},
        "tasks": _by_task(results),
        "settings": {
            "limit": config.limit, "shots": config.shots, "batch": config.batch,
            "seed": work.seed, "lm_eval": metadata.version("lm-eval"),
        },
        "made": work.made(),
    }  # fmt: skip


def _evaluate(
    work: Work, role: str, model: HostedModel, manager: Any, tasks: Sequence[Any],
    config: EvalConfig,
) -> Mapping[str, Any]:  # fmt: skip
    from lm_eval.evaluator import simple_evaluate

    from transplant.backbones.quiet import quiet
    from transplant.evidence.harness.model import AbiLM

    seeds: dict[str, Any] = {
        f"{kind}_random_seed": work.seed for kind in ("numpy", "torch", "fewshot")
    }
    asked: Any = AbiLM  # whose class calls itself abstract, as that of lm-eval's own does
    with (
        work.reporter.progress(f"tasks with {role}"), quiet(), quiet_harness(),
        foreign(f"lm-eval fails on {model.name}", BackboneError),
    ):  # fmt: skip
        found: Any = simple_evaluate(
            model=asked(model, batch_size=config.batch), tasks=[*tasks], task_manager=manager,
            num_fewshot=config.shots, limit=config.limit, bootstrap_iters=config.resamples,
            log_samples=False, random_seed=work.seed, **seeds,
        )  # fmt: skip
    return found


def _by_task(results: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Metrics by task and name, each by role."""
    first = next(iter(results.values()))
    tasks: dict[str, dict[str, Any]] = {}
    for task, scores in first["results"].items():
        counted = first["n-samples"].get(task, {})
        better = first["higher_is_better"].get(task, {})
        metrics = {
            key: {
                "higher_is_better": better.get(key.partition(",")[0]),
                **{role: _score(found["results"][task], key) for role, found in results.items()},
            }
            for key, value in scores.items()
            if "_stderr," not in key and "," in key and isinstance(value, int | float)
        }
        tasks[task] = {
            "questions": counted.get("effective"), "shots": first["n-shot"].get(task),
            "version": first["versions"].get(task), "metrics": metrics,
        }  # fmt: skip
    return tasks


def _score(scores: Mapping[str, Any], key: str) -> dict[str, float | None]:
    """A value and its standard error, None where lm-eval gives none."""
    name, _, filtered = key.partition(",")
    error = scores.get(f"{name}_stderr,{filtered}")
    return {
        "value": float(scores[key]),
        "stderr": float(error) if isinstance(error, int | float) else None,
    }
