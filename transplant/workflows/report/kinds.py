"""Results by what they hold: which verb wrote a piece of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

KINDS: dict[str, frozenset[str]] = {
    "move": frozenset({"donor", "target", "name", "ppl", "recovered"}),
    "training": frozenset({"backbone", "module_sha256", "ppl", "trained_parameters"}),
    "nib": frozenset({"anchor", "candidate", "top5", "js", "pass"}),
    "trace": frozenset({"model", "targets", "blocks", "mode", "sign"}),
    "pairs": frozenset({"model", "pairs", "accuracy", "accuracy_interval", "fields"}),
    "uncertainty": frozenset({"model", "calibration", "error_auroc", "entropy"}),
    "route": frozenset({"model", "baseline", "tau", "areas", "coverage"}),
    "validation": frozenset({"model", "baseline", "gates", "metrics", "suite"}),
    "alignment": frozenset({"name", "r2", "cosine_before", "cosine_after", "pairs"}),
    "curve": frozenset({"donor", "target", "budgets", "curves", "crossing_tokens"}),
    "ablation": frozenset({"ablation", "donor", "target", "rows"}),
    "catalog": frozenset({"bank", "backbone", "heads", "pieces", "taps"}),
    "verification": frozenset({"record", "verdict", "moves", "pass"}),
}
"""By kind, the fields that tell it from the others."""
OTHER = "other"
DEEPEST = 5  # objects and lists around a result


def kind_of(data: Mapping[str, Any]) -> str | None:
    """The kind of a result; None for JSON of another sort."""
    return next((kind for kind, fields in KINDS.items() if fields <= data.keys()), None)


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
