"""The ranks that a map may take, what they cost and what they keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Choices:
    """The ranks that one map may take, ascending: their costs and what they keep."""

    ranks: tuple[int, ...]
    costs: tuple[int, ...]
    values: tuple[float, ...]

    def at(self, rank: int) -> int:
        """The place of the largest rank that is no larger than this one; 0 for none."""
        return max((i for i, own in enumerate(self.ranks) if own <= rank), default=0)

    def keeping(self, places: Sequence[int]) -> Choices:
        """Some of them alone."""
        return Choices(
            tuple(self.ranks[place] for place in places),
            tuple(self.costs[place] for place in places),
            tuple(self.values[place] for place in places),
        )


def choices_of(
    scores: Sequence[float], cost: Callable[[int], int], *, step: int, r_min: int, r_max: int | None
) -> Choices:
    """The ranks of a map: multiples of a step between two bounds, and the bounds themselves.

    Args:
        scores: of its directions, in the order in which a rank takes them.
        cost: parameters of a rank.
        step: between ranks.
        r_min: the smallest; all directions where there are fewer.
        r_max: the largest; None for all directions.
    """
    most = min(len(scores), len(scores) if r_max is None else r_max)
    least = min(r_min, most)
    inside = (rank for rank in range(0, most + 1, step) if least <= rank <= most)
    ranks = tuple(sorted({least, most, *inside}))
    kept = np.concatenate([[0.0], np.cumsum(np.asarray(scores, dtype=np.float64))])
    return Choices(ranks, tuple(map(cost, ranks)), tuple(float(kept[rank]) for rank in ranks))
