"""Facts in `made` and `results` that readers depend on: their types, by the kind of the artifact.

A manifest may say more, and an older one less; what it does say has the type that its readers take
for granted, so that none of them has to ask. What a kind cannot be read without is there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transplant.errors import CorruptError
from transplant.files.decode import decode

Fields = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CoreModule:
    """A module inside a core, as the core's manifest describes it; it may say more."""

    domain: str | None
    """The domain of its text."""
    d_abi: int
    """Width of the shared space."""
    core: str
    """The fingerprint of the core that it was trained in."""
    made: Fields
    """How it was made."""
    results: Fields
    """What was measured."""


MADE: dict[str, Any] = {
    "verb": str,
    "options": Fields,
    "seed": int,
    "corpus": str | None,
    "token_counts": dict[str, int] | None,
    "recipe": Fields | None,
    "form": str | None,
    "modules": dict[str, Fields],
    "pieces": dict[str, Fields],
    "scales": dict[str, float],
    "injection": Fields,
    "fusion": Fields,
    "align": Fields,
    "basis": Fields,
    "added": dict[str, str | None],
}
"""By name, the type of a fact about how an artifact was made."""

RESULTS: dict[str, dict[str, Any]] = {
    "module": {"recovered": dict[str, float | None] | None},
    "backbone": {"parameters": int, "train_seconds": float},
    "bridge": {"pairs": int, "r2": float},
}
"""By kind, the same of what was measured."""

NUMBERS = (int, float)
"""Types of facts that have to be numbers, and not null."""

NEEDED = {
    "bank": "pieces", "injection": "injection", "fusion": "fusion", "adapter": "scales",
    "basis": "basis",
}  # fmt: skip
"""By kind, the fact without which it cannot be read."""


def check_facts(kind: str, made: Mapping[str, Any], results: Mapping[str, Any], where: str) -> None:
    """Refuse facts that their readers could not take.

    Raises:
        CorruptError: naming the fact.
    """
    for part, facts, hints in (("made", made, MADE), ("results", results, RESULTS.get(kind, {}))):
        for name in hints.keys() & facts.keys():
            decode(hints[name], facts[name], f"{where}.{part}.{name}")
    needed = NEEDED.get(kind)
    if needed is not None and needed not in made:
        raise CorruptError(f"{where}.made.{needed}", expected="the field", found="nothing")
    for name, record in made.get("modules", {}).items():
        inside = f"{where}.made.modules.{name}"
        known = CoreModule.__dataclass_fields__
        module = decode(CoreModule, {k: v for k, v in record.items() if k in known}, inside)
        check_facts("module", module.made, module.results, inside)


def finite_results(kind: str, results: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured, with null for what is no finite number: JSON has none.

    The perplexity of a broken control may be infinite. A number that readers depend on stays as it
    is, to be refused.
    """
    needed = {name for name, hint in RESULTS.get(kind, {}).items() if hint in NUMBERS}
    return {name: found if name in needed else _finite(found) for name, found in results.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    return value
