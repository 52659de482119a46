"""One budget over many maps: each takes one of its ranks, and the kept score is as large as can be.

A multiple-choice knapsack, solved exactly: ranks that no best allocation has are left out
(`reachable`), and the rest is dynamic programming over what of the budget is still open, in units
of the greatest common divisor of all costs (Kellerer, Pferschy and Pisinger 2004, "Knapsack
Problems", chapter 11).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from transplant.basis.choices import Choices
from transplant.basis.reachable import bound_of, within_reach
from transplant.errors import InputError

MOST_CELLS = 1 << 30  # of the table of choices: 2 bytes each


def allocate_exact(choices: Mapping[str, Choices], budget: int) -> dict[str, int]:
    """The ranks whose kept score is the largest of all that the budget pays for.

    Args:
        choices: by map.
        budget: parameters.

    Raises:
        InputError: the budget does not pay for the smallest ranks, or is too finely divided.
    """
    check_budget(choices, budget)
    bound = bound_of(choices, budget)
    known = kept(choices, _ranks_at(choices, _filled(choices, bound.places, budget)))
    choices = within_reach(choices, bound, known)
    floor = sum(one.costs[0] for one in choices.values())
    extra = {name: [c - one.costs[0] for c in one.costs] for name, one in choices.items()}
    unit = math.gcd(*(c for costs in extra.values() for c in costs)) or 1
    cells = min(budget - floor, sum(costs[-1] for costs in extra.values())) // unit + 1
    if cells * len(choices) > MOST_CELLS:
        raise InputError(
            f"a budget of {budget:,} in units of {unit}", expected="fewer possible sums",
            hint="a larger `step`",
        )  # fmt: skip
    best: NDArray[np.float64] = np.zeros(cells)
    taken: list[NDArray[np.uint16]] = []
    for name, one in choices.items():
        best, place = _with_map(best, [c // unit for c in extra[name]], one.values)
        taken.append(place)
    left, found = cells - 1, dict.fromkeys(choices, 0)
    for (name, one), place in zip(reversed([*choices.items()]), reversed(taken), strict=True):
        pick = int(place[left])
        found[name] = one.ranks[pick]
        left -= extra[name][pick] // unit
    return found


def _with_map(
    before: NDArray[np.float64], costs: Sequence[int], values: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """The best score at each budget [cells] with one map more, and what that map takes there."""
    best = before + values[0]
    place = np.zeros(len(before), dtype=np.uint16)
    for pick in range(1, len(costs)):
        cost = costs[pick]
        if cost >= len(before):
            break
        with_it = before[: len(before) - cost] + values[pick]
        better = with_it > best[cost:]
        best[cost:][better] = with_it[better]
        place[cost:][better] = pick
    return best, place


def allocate_greedy(choices: Mapping[str, Choices], budget: int) -> dict[str, int]:
    """The ranks that come of taking, again and again, the step of most score per parameter.

    Raises:
        InputError: the budget does not pay for the smallest ranks.
    """
    check_budget(choices, budget)
    return _ranks_at(choices, _filled(choices, dict.fromkeys(choices, 0), budget))


def _filled(
    choices: Mapping[str, Choices], begun: Mapping[str, int], budget: int
) -> dict[str, int]:
    """Places from some others on, step by step, as long as the budget pays for one more.

    Of equal steps the dearer one is taken, then the later name. What is left only falls, so that a
    step that it does not pay for is never looked at again.
    """
    places = dict(begun)
    left = budget - sum(choices[name].costs[place] for name, place in places.items())
    order = {name: turn for turn, name in enumerate(sorted(choices, reverse=True))}

    def next_of(name: str) -> Iterator[tuple[float, int, int, str]]:
        one, now = choices[name], places[name]
        if now + 1 < len(one.ranks):
            cost = one.costs[now + 1] - one.costs[now]
            gain = one.values[now + 1] - one.values[now]
            yield -gain / max(cost, 1), -cost, order[name], name

    steps = [step for name in choices for step in next_of(name)]
    heapify(steps)
    while steps:
        _, minus_cost, _, name = heappop(steps)
        if -minus_cost <= left:
            places[name] += 1
            left += minus_cost
            for step in next_of(name):
                heappush(steps, step)
    return places


def _ranks_at(choices: Mapping[str, Choices], places: Mapping[str, int]) -> dict[str, int]:
    return {name: choices[name].ranks[place] for name, place in places.items()}


def allocate_uniform(choices: Mapping[str, Choices], budget: int) -> dict[str, int]:
    """The largest rank that all maps can have at once; a map that has no such rank has less.

    Raises:
        InputError: the budget does not pay for the smallest ranks.
    """
    check_budget(choices, budget)
    found = {name: one.ranks[0] for name, one in choices.items()}
    for rank in sorted({rank for one in choices.values() for rank in one.ranks}):
        places = {name: one.at(rank) for name, one in choices.items()}
        if sum(choices[name].costs[place] for name, place in places.items()) > budget:
            break
        found = {name: choices[name].ranks[place] for name, place in places.items()}
    return found


def allocate_one_rank(choices: Mapping[str, Choices], budget: int) -> dict[str, int]:
    """`allocate_uniform`, for an adapter: some map has a rank above 0.

    Raises:
        InputError: the budget pays for no rank above 0 in all maps at once; it says what would.
    """
    found = allocate_uniform(choices, budget)
    if not any(found.values()):
        ranks = sorted({rank for one in choices.values() for rank in one.ranks if rank})
        cost = sum(one.costs[one.at(ranks[0])] for one in choices.values()) if ranks else 0
        raise InputError(
            "`budget` pays for no rank above 0 in all maps at once",
            expected=f"{cost:,} parameters or more" if ranks else "a map with directions",
            found=f"{budget:,}",
            hint="a larger `budget`, a smaller `step`, fewer `layers`, or another `score`",
        )  # fmt: skip
    return found


def allocate_by_widths(
    choices: Mapping[str, Choices], budget: int, widths: Mapping[str, int]
) -> dict[str, int]:
    """Ranks whose parameters are proportional to the widths of maps, as those of a LoRA are.

    Again and again the next rank is bought that is the cheapest for the width of its map.

    Args:
        choices: by map.
        budget: parameters.
        widths: out + in, by map.

    Raises:
        InputError: the budget does not pay for the smallest ranks.
    """
    check_budget(choices, budget)
    places = dict.fromkeys(choices, 0)
    left = budget - sum(one.costs[0] for one in choices.values())

    def next_of(name: str) -> Iterator[tuple[float, str]]:
        if places[name] + 1 < len(choices[name].costs):
            yield choices[name].costs[places[name] + 1] / widths[name], name

    steps = [step for name in choices for step in next_of(name)]
    heapify(steps)
    while steps:
        _, name = heappop(steps)
        costs, at = choices[name].costs, places[name]
        if costs[at + 1] - costs[at] <= left:
            places[name] += 1
            left -= costs[at + 1] - costs[at]
            for step in next_of(name):
                heappush(steps, step)
    return _ranks_at(choices, places)


def kept(choices: Mapping[str, Choices], ranks: Mapping[str, int]) -> float:
    """The score that an allocation keeps."""
    return math.fsum(one.values[one.ranks.index(ranks[name])] for name, one in choices.items())


def cost_of(choices: Mapping[str, Choices], ranks: Mapping[str, int]) -> int:
    """The parameters that an allocation takes."""
    return sum(one.costs[one.ranks.index(ranks[name])] for name, one in choices.items())


def check_budget(choices: Mapping[str, Choices], budget: int) -> None:
    """Refuses a budget that does not pay for the smallest rank everywhere.

    Raises:
        InputError: it says what would.
    """
    least = sum(one.costs[0] for one in choices.values())
    if not any(one.ranks[0] for one in choices.values()):  # then one step somewhere, at least
        least = min((one.costs[1] for one in choices.values() if len(one.ranks) > 1), default=least)
    if budget < least:
        raise InputError(
            "`budget` does not pay for the smallest ranks",
            expected=f"{least:,} parameters or more", found=f"{budget:,}",
            hint="a larger `budget`, a smaller `r_min` or `step`, or fewer `layers`",
        )  # fmt: skip
