"""Results by what they hold: which verb wrote a piece of JSON, for reports and for the studio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

KINDS: dict[str, tuple[str, ...]] = {
    "move": ("donor", "target", "ppl", "recovered"),
    "training": ("backbone", "module_sha256", "ppl", "trained_parameters"),
    "nib": ("anchor", "candidate", "top5", "js", "pass"),
    "trace": ("metric", "mode", "targets", "blocks"),
    "pairs": ("model", "pairs", "accuracy", "fields", "paradigms"),
    "uncertainty": ("model", "calibration", "error_auroc", "entropy"),
    "metrics": ("format", "documents", "tokens"),
    "route": ("baseline", "tau", "areas", "coverage"),
    "validation": ("baseline", "gates", "metrics", "suite"),
    "alignment": ("name", "r2", "cosine_before", "cosine_after", "pairs"),
    "curve": ("donor", "target", "budgets", "curves"),
    "ablation": ("ablation", "rows"),
    "catalog": ("bank", "heads", "pieces", "taps"),
    "ranks": ("score", "maps", "share_kept"),
    "advice": ("strategy", "answers", "numbers"),
    "verification": ("record", "verdict", "moves", "pass"),
}
"""By kind, the fields that tell it from the others, by their present keys; see `former_keys`.

The first of them holds text: a vocabulary may have all of these words as keys of numbers. Of what
fits several kinds, the first is meant.
"""
METRICS = "metrics"
"""The numbers of every token: a file beside a report, and no report itself."""
MOVES, OTHER = "moves", "other"
"""Of whole files: several moves, and what is none of this."""
DEEPEST = 5  # objects and lists around a result


def kind_of(data: Mapping[str, Any]) -> str | None:
    """The kind of a result; None for JSON of another sort."""
    return next(
        (
            kind for kind, fields in KINDS.items()
            if isinstance(data.get(fields[0]), str) and all(name in data for name in fields)
        ),
        None,
    )  # fmt: skip


def kind_of_file(data: Any) -> str:
    """The kind of what a file holds as a whole: one of `KINDS`, `MOVES` or `OTHER`."""
    if isinstance(data, list):
        first = data[0] if data else None
        return MOVES if isinstance(first, Mapping) and kind_of(first) == "move" else OTHER
    if not isinstance(data, Mapping):
        return OTHER
    return kind_of(data) or (MOVES if MOVES in data else OTHER)


def results_in(
    data: Any, command: str | None = None, depth: int = DEEPEST
) -> Iterator[tuple[str, Mapping[str, Any], str | None]]:
    """Every result in a piece of JSON: its kind, itself, and the command that stands beside it.

    A file may hold one result, a list of them, or some under names.
    """
    if isinstance(data, dict):
        beside = data.get("command")
        command = beside if isinstance(beside, str) else command
        kind = kind_of(data)
        if kind is not None:
            yield kind, data, command
            return
    if depth and isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from results_in(inner, command, depth - 1)
