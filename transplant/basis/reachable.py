"""Which ranks can be part of a best allocation at all: the others need not be tried.

A price for each parameter bounds from above what any allocation within the budget keeps: each map
takes the rank of most score less its price, and what the budget would have paid for comes on top
(the Lagrangian bound). If even with one rank of one map forced that bound is below what some
allocation is known to keep, no best allocation has that rank (the reduction of Dyer, Riha and
Walker 1995, "A hybrid dynamic programming/branch-and-bound algorithm for the multiple-choice
knapsack problem"). What is left is small: of 560 maps with up to 64 ranks each mostly one or two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transplant.basis.choices import Choices

HALVINGS = 100  # of the interval of prices
ROUNDING = 1e-9  # of the bound: sums of scores are not exact


@dataclass(frozen=True)
class Bound:
    """What a price says of a budget."""

    price: float
    """Of a parameter, in score."""
    most: float
    """No allocation within the budget keeps more."""
    places: dict[str, int]
    """What each map takes at this price; within the budget."""


def bound_of(choices: Mapping[str, Choices], budget: int) -> Bound:
    """The bound at the least price at which all maps together stay within a budget.

    Args:
        choices: by map; the smallest ranks are within the budget.
        budget: parameters.
    """
    costs, values = _as_arrays(choices)
    least, most = 0.0, float(values.max()) or 1.0  # prices as small as the scores are

    def taken(price: float) -> tuple[NDArray[np.int64], int]:
        places = (values - price * costs).argmax(1)  # the first, which is the cheapest, of equals
        return places, int(np.take_along_axis(costs, places[:, None], 1).sum())

    while taken(most)[1] > budget:
        least, most = most, 2 * most
    for _ in range(HALVINGS):
        price = (least + most) / 2
        least, most = (price, most) if taken(price)[1] > budget else (least, price)
    places, _ = taken(most)
    kept = float((values - most * costs).max(1).sum()) + most * budget
    return Bound(most, kept, dict(zip(choices, places.tolist(), strict=True)))


def within_reach(choices: Mapping[str, Choices], bound: Bound, known: float) -> dict[str, Choices]:
    """The choices of which a best allocation is made.

    Args:
        choices: by map.
        bound: of the budget.
        known: the score of an allocation within the budget.
    """
    slack = bound.most - known + ROUNDING * abs(bound.most)
    found = {}
    for name, one in choices.items():
        worth = np.asarray(one.values) - bound.price * np.asarray(one.costs)
        kept = np.flatnonzero(worth.max() - worth <= slack)
        found[name] = one.keeping(kept.tolist())
    return found


def _as_arrays(
    choices: Mapping[str, Choices],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Costs and values [maps, most choices]; behind the last of a map nothing is worth taking."""
    width = max(len(one.ranks) for one in choices.values())
    costs = np.zeros((len(choices), width), dtype=np.int64)
    values = np.full((len(choices), width), -np.inf)
    for row, one in enumerate(choices.values()):
        costs[row, : len(one.costs)] = one.costs
        values[row, : len(one.values)] = one.values
    return costs, values
