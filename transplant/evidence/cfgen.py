"""Minimal pairs of a grammar, written to a file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from transplant.counterfactuals.grammars import capacity, draw_pairs
from transplant.counterfactuals.pair_file import read_pairs, write_pairs
from transplant.workflows.work import Work

PAIRS = 1000


def generate_pairs(work: Work, task: str, out: Path | str, n: int = PAIRS) -> dict[str, Any]:
    """Draws minimal pairs of a grammar and writes them as lines of JSON.

    Args:
        work: seed and reporter.
        task: one of `transplant.counterfactuals.grammars.GRAMMARS`.
        out: the file; where there is one, it is replaced.
        n: how many pairs.

    Returns:
        The report: pairs by field and label, how many there could be, the file's sha256.

    Raises:
        InputError: no such task, or more pairs than the grammar can make.
        StorageError: the disk refused.
    """
    drawn = draw_pairs(task, n, seed=work.seed)
    write_pairs(Path(out), task, drawn)
    return {
        "task": task,
        "pairs": len(drawn),
        "possible": capacity(task),
        "fields": dict(Counter(one.field for one in drawn)),
        "labels": dict(Counter(one.pair.label for one in drawn).most_common()),
        "example": {"good": drawn[0].pair.good, "bad": drawn[0].pair.bad},
        "out": str(out),
        "sha256": read_pairs(out).sha256,
        "made": work.made(),
    }
