"""Allocation: the best of all that the budget pays for, and never worse than simple rules."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from transplant.basis import allocate
from transplant.basis.allocate import (
    allocate_by_widths,
    allocate_exact,
    allocate_greedy,
    allocate_one_rank,
    allocate_uniform,
    cost_of,
    kept,
)
from transplant.basis.choices import choices_of
from transplant.basis.config import AllocateConfig
from transplant.basis.record import BasisRecord
from transplant.errors import InputError


def drawn(seed: int, maps: int = 4):
    draw = random.Random(seed)
    step, r_min = draw.choice([1, 2, 3]), draw.choice([0, 1, 2])
    return {
        f"map.{number}": choices_of(
            [draw.expovariate(1) * draw.choice([0.01, 1, 100]) for _ in range(draw.randint(3, 7))],
            lambda r: r * r, step=step, r_min=r_min, r_max=draw.choice([None, 5]),
        )
        for number in range(maps)
    }  # fmt: skip


def by_brute_force(choices, budget):
    best = -1.0
    for ranks in itertools.product(*(one.ranks for one in choices.values())):
        found = dict(zip(choices, ranks, strict=True))
        if cost_of(choices, found) <= budget:
            best = max(best, kept(choices, found))
    return best


@pytest.mark.parametrize("seed", range(30))
def test_exact_is_brute_force_and_no_rule_does_better(seed):
    choices = drawn(seed)
    most = sum(one.costs[-1] for one in choices.values())
    for budget in (random.Random(seed).randint(8, most), most):
        try:
            ranks = allocate_exact(choices, budget)
        except InputError:
            assert by_brute_force(choices, budget) <= 0
            continue
        assert cost_of(choices, ranks) <= budget
        assert kept(choices, ranks) == pytest.approx(by_brute_force(choices, budget))
        for rule in (allocate_greedy, allocate_uniform):
            other = rule(choices, budget)
            assert cost_of(choices, other) <= budget
            assert kept(choices, other) <= kept(choices, ranks) + 1e-9


@pytest.mark.parametrize("seed", range(30))
def test_ranks_do_not_depend_on_the_unit_of_scores(seed):
    choices = drawn(seed)
    least = sum(one.costs[0] for one in choices.values())
    for budget in (max(least, 9), least + 30):
        ranks = allocate_exact(choices, budget)
        for unit in (2.0**-1000, 2.0**-60, 2.0**60, 2.0**900):
            other = {
                name: replace(one, values=tuple(unit * value for value in one.values))
                for name, one in choices.items()
            }
            assert allocate_exact(other, budget) == ranks


def test_greedy_and_uniform_can_do_worse():
    """The control of the property above: it is no tie by construction."""
    worse = dict.fromkeys((allocate_greedy, allocate_uniform), 0)
    for seed in range(30):
        choices = drawn(seed)
        try:
            best = kept(choices, allocate_exact(choices, 40))
        except InputError:
            continue
        for rule in worse:
            worse[rule] += kept(choices, rule(choices, 40)) < best - 1e-9
    assert min(worse.values()) > 0


def greedily(choices, budget):
    """The rule as it is said: of all steps that the budget pays for, that of most per parameter."""
    places = dict.fromkeys(choices, 0)
    while True:
        left, steps = budget - sum(choices[n].costs[p] for n, p in places.items()), []
        for name, place in places.items():
            one = choices[name]
            if place + 1 < len(one.ranks):
                cost = one.costs[place + 1] - one.costs[place]
                gain = one.values[place + 1] - one.values[place]
                if cost <= left:
                    steps.append((gain / max(cost, 1), cost, name))
        if not steps:
            return {name: choices[name].ranks[place] for name, place in places.items()}
        places[max(steps)[2]] += 1


@pytest.mark.parametrize("seed", range(30))
def test_greedy_takes_the_best_step_each_time(seed):
    for choices in (drawn(seed), drawn(seed, 12), dict.fromkeys("abcd", drawn(seed)["map.0"])):
        most = sum(one.costs[-1] for one in choices.values())
        least = sum(one.costs[0] for one in choices.values())
        for budget in (max(least, 25), (least + most) // 2, most + 1):
            assert allocate_greedy(choices, budget) == greedily(choices, budget)


def test_greedy_does_not_look_at_all_maps_for_each_step():
    class Walked(dict):
        walks = 0

        def __iter__(self):
            self.walks += 1
            return super().__iter__()

        def items(self):
            self.walks += 1
            return super().items()

        def values(self):
            self.walks += 1
            return super().values()

    choices = Walked(
        {
            f"{n}": choices_of([1.0] * 20, lambda r: r * r, step=1, r_min=0, r_max=None)
            for n in range(20)
        }
    )
    ranks = allocate_greedy(choices, 2_000)
    assert sum(ranks.values()) > 150  # steps
    assert choices.walks < 15


def test_ranks_are_multiples_of_the_step_between_the_bounds():
    one = choices_of([1.0] * 10, lambda r: r * r, step=4, r_min=2, r_max=9)
    assert one.ranks == (2, 4, 8, 9)
    assert one.costs == (4, 16, 64, 81)
    assert choices_of([1.0] * 3, lambda r: r, step=4, r_min=8, r_max=None).ranks == (3,)


def test_a_budget_that_pays_for_nothing_is_refused():
    choices = drawn(1)
    for rule in (allocate_exact, allocate_greedy, allocate_uniform):
        with pytest.raises(InputError, match="budget"):
            rule(choices, 0)


def test_widths_share_a_budget_out_as_a_lora_does():
    shapes = {"qkv": (768, 256), "o": (256, 256), "up": (1024, 256), "down": (256, 1024)}
    widths = {name: out + into for name, (out, into) in shapes.items()}
    choices = {
        name: choices_of([1.0] * 256, lambda r, out=out: r * out, step=1, r_min=0, r_max=None)
        for name, (out, _) in shapes.items()
    }
    for rank in (1, 2, 8):
        budget = rank * sum(widths.values())
        ranks = allocate_by_widths(choices, budget, widths)
        spent = cost_of(choices, ranks)
        assert budget - min(out for out, _ in shapes.values()) < spent <= budget
        for name, (out, _) in shapes.items():  # within one rank of a LoRA's own share
            assert abs(ranks[name] - rank * widths[name] / out) <= 2
    even = allocate_uniform(choices, budget)
    assert even["down"] < 0.5 * ranks["down"]  # the control: one rank for all
    with pytest.raises(InputError, match="does not pay"):
        allocate_by_widths(choices, 255, widths)
    assert sum(allocate_by_widths(choices, 256, widths).values()) == 1


def test_widths_keep_to_the_smallest_ranks():
    choices = {
        name: choices_of([1.0] * 9, lambda r: r * r, step=1, r_min=least, r_max=None)
        for name, least in (("a", 6), ("b", 0))
    }
    assert allocate_by_widths(choices, 40, {"a": 1, "b": 9}) == {"a": 6, "b": 2}


def test_one_rank_for_all_is_above_0_or_refused_with_the_budget_that_pays():
    choices = {
        f"{width}": choices_of([1.0] * width, lambda r: r * r, step=4, r_min=0, r_max=None)
        for width in (8, 6)
    }
    assert allocate_uniform(choices, 31) == {"8": 0, "6": 0}  # the control: within the budget
    with pytest.raises(InputError, match="no rank above 0") as told:
        allocate_one_rank(choices, 31)
    assert told.value.expected == "32 parameters or more"
    for budget in (32, 51):  # 52 pays for rank 6 of the narrower one
        assert allocate_one_rank(choices, budget) == {"8": 4, "6": 4}


def test_ranks_that_are_all_0_are_no_allocation():
    record = BasisRecord(rows={}, fit={}, ranks={"q": 0, "v": 0})
    with pytest.raises(InputError, match="all ranks of b are 0"):
        record.allocated("b")
    assert replace(record, ranks={"q": 0, "v": 2}).allocated("b") == {"v": 2}


def test_more_sums_than_memory_holds_are_refused(monkeypatch):
    choices = drawn(1)
    budget = sum(one.costs[-1] for one in choices.values()) // 2
    monkeypatch.setattr(allocate, "MOST_CELLS", 1)
    with pytest.raises(InputError, match="step"):
        allocate_exact(choices, budget)


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"budget": 1, "budget_like": "lora:r=8"}, {"budget_like": "lora:8"}, {"budget": 0},
        {"budget": 9, "score": "best"}, {"budget": 9, "r_min": 8, "r_max": 4},
        {"budget": 9, "step": 0},
    ],
)  # fmt: skip
def test_a_recipe_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError):
        AllocateConfig(**wrong)
