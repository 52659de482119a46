"""Evidence as a manifest or a report holds it: tables that do not rely on what they may hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.files.former_keys import with_present_keys
from transplant.tables.shares import bounds_in, bounds_text

if TYPE_CHECKING:
    from transplant.library import Manifest


COLOURS = {
    "candidate": "moved", "native": "native", "raw": "raw",
    **dict.fromkeys(("random_module", "shuffled_pairs"), "no-donor"),
    **dict.fromkeys(("linear_surrogate", "random_refitted", "donor_alone"), "no-module"),
}  # fmt: skip
"""By system, the class of its bar: what was moved, its ceiling, controls by what they lack."""


@dataclass(frozen=True)
class System:
    """One row of the evidence of a move."""

    name: str
    ppl: float | None
    recovered: float | None
    interval: tuple[float, float] | None
    """-inf or inf where it has no bound."""
    colour: str = "other"
    """The class of its bar: what it lacks."""

    @property
    def bounds(self) -> str:
        """Its interval as text."""
        return bounds_text(self.interval, between=" to ")


def headline_of(manifest: Manifest) -> str:
    """What was measured of an artifact, in a few words; empty where nothing was."""
    results = manifest.results
    recovered = number_in(results, "recovered", "candidate")
    if recovered is not None:
        return f"recovered {recovered:.2f}"
    raw, native = (number_in(results, "ppl", name) for name in ("raw", "native"))
    if raw is not None and native is not None:
        return f"perplexity {raw:.1f} to {native:.1f}"
    parameters = number_in(results, "parameters")
    return "" if parameters is None else f"{parameters:,.0f} parameters"


def evidence_of(results: Manifest | Mapping[str, Any]) -> list[System]:
    """The systems that a move was compared with; empty where there are none."""
    found = with_present_keys(results if isinstance(results, Mapping) else results.results)
    ppl, recovered = (found.get(name) for name in ("ppl", "recovered"))
    names = [*dict.fromkeys((*_keys(ppl), *_keys(recovered)))]
    return [
        System(
            name.replace("_", " "), number_in(found, "ppl", name),
            number_in(found, "recovered", name), _interval(found, name), COLOURS.get(name, "other"),
        )
        for name in names
    ]  # fmt: skip


def bounds_of(systems: Sequence[System]) -> tuple[float, float]:
    """From where to where bars reach: 0 or below to 1 or above, at most 3 on either side."""
    ends = [end for one in systems if one.recovered is not None
            for end in (one.recovered, *(one.interval or ()))]  # fmt: skip
    if not ends:
        return 0.0, 0.0
    return max(-3.0, min(0.0, *ends)), min(3.0, max(1.0, *ends))


def place(value: float, low: float, high: float) -> float:
    """Where a value lies between two others, from 0 to 100."""
    return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)


def number_in(data: Any, *path: str) -> float | None:
    """The number at a place in nested objects; None where there is none."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    good = isinstance(data, int | float) and not isinstance(data, bool) and math.isfinite(data)
    return float(data) if good else None


def _keys(value: Any) -> list[str]:
    return [*value] if isinstance(value, Mapping) else []


def _interval(found: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    held: Any = found.get("interval")
    bounds = held.get("recovered") if isinstance(held, Mapping) else None
    pair = bounds.get(name) if isinstance(bounds, Mapping) else None
    return bounds_in(pair)
