"""Shares of what a native gains, in benchmarks: null where it gains nothing beyond its interval."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

from transplant.tables.shares import share_text


def texts(shares: Mapping[str, float | None]) -> str:
    """Shares by name on one line."""
    return ", ".join(f"{name} {share_text(share)}" for name, share in shares.items())


def mean(shares: Iterable[float | None]) -> float | None:
    """The mean over seeds or pairs; one without a ceiling leaves none for the mean."""
    found = [*shares]
    known = [share for share in found if share is not None]
    return statistics.mean(known) if known and len(known) == len(found) else None


def at_least(share: float | None, goal: float) -> bool:
    """Whether a share reaches a goal; one that there is not reaches none."""
    return share is not None and share >= goal


def below(share: float | None, goal: float) -> bool:
    """Whether a share stays below a bound; of one that there is not nothing is known."""
    return share is not None and share < goal
