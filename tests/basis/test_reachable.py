"""Ranks that no best allocation has are left out, and no other ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.basis.test_allocate import by_brute_force, drawn
from transplant.basis.allocate import allocate_exact, allocate_greedy, cost_of, kept
from transplant.basis.choices import choices_of
from transplant.basis.reachable import bound_of, within_reach
from transplant.errors import InputError


@pytest.mark.parametrize("seed", range(30))
def test_what_is_out_of_reach_is_in_no_best_allocation(seed):
    choices = drawn(seed)
    budget = max(8, sum(one.costs[-1] for one in choices.values()) // 3)
    try:
        best = by_brute_force(choices, budget)
        left = within_reach(choices, bound_of(choices, budget), best)
    except InputError:
        return
    for ranks in itertools.product(*(one.ranks for one in choices.values())):
        found = dict(zip(choices, ranks, strict=True))
        if cost_of(choices, found) <= budget and kept(choices, found) >= best:
            assert all(rank in left[name].ranks for name, rank in found.items())


def test_a_model_of_70_billion_parameters_is_allocated_exactly():
    """560 maps of 64 ranks each: all sums of costs would not fit into memory."""
    draw = np.random.default_rng(0)
    falling = np.arange(1, 257) ** -1.2
    choices = {
        f"{number}": choices_of(
            draw.exponential(falling * draw.lognormal()).tolist(), lambda r: r * r,
            step=4, r_min=0, r_max=None,
        )
        for number in range(560)
    }  # fmt: skip
    budget = 1_617_920
    ranks = allocate_exact(choices, budget)
    assert cost_of(choices, ranks) <= budget
    bound = bound_of(choices, budget)
    assert 0 <= bound.most - kept(choices, ranks) < 1e-4 * bound.most  # nothing keeps more than it
    assert kept(choices, allocate_greedy(choices, budget)) < kept(choices, ranks)
    left = within_reach(choices, bound, kept(choices, ranks))
    assert sum(len(one.ranks) for one in left.values()) < 1_000
    assert all(ranks[name] in one.ranks for name, one in left.items())
