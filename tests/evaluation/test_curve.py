"""Budgets as they are written, and where the native catches up."""

from __future__ import annotations

import math

import pytest

from transplant.errors import InputError
from transplant.evaluation.curve import crossing, parse_budgets
from transplant.values import parse_count

BUDGETS = (0, 4_000, 32_000)


def test_the_crossing_by_hand():
    at = crossing(BUDGETS, [0.5, 0.6, 0.7], [0.0, 0.4, 0.9])
    middle = (math.log1p(4_000) + math.log1p(32_000)) / 2  # ahead by 0.2, then behind by 0.2
    assert at == pytest.approx(math.expm1(middle))
    assert 4_000 < at < 32_000


def test_a_native_that_never_catches_up_has_no_crossing():
    assert crossing(BUDGETS, [0.5, 0.6, 0.7], [0.0, 0.4, 0.6]) is None


def test_a_module_that_is_behind_at_once_is_caught_at_the_first_budget():
    assert crossing(BUDGETS[1:], [0.1, 0.2], [0.1, 0.3]) == 4_000
    assert crossing(BUDGETS, [0.5, 0.6, 0.7], [0.0, 0.6, 0.9]) == pytest.approx(4_000)


def test_budgets_are_read_as_written():
    assert parse_budgets("32k, 0,4k,500") == (0, 500, 4_000, 32_000)
    assert parse_budgets("1.5k") == (1_500,)


@pytest.mark.parametrize("part", ["50000", "1.5k", "1M", "0.5m", "2K", "1_000", " 8k "])
def test_a_budget_is_a_count_as_every_other(part):
    assert parse_budgets(f"0,{part}") == (0, parse_count("tokens", part))


@pytest.mark.parametrize(
    "wrong", ["", "many", "0", "0k", "-4k,2", "4k,", "nan", "infk", "1e3k", "4kk", "9" * 400]
)
def test_what_is_no_list_of_budgets_is_refused_by_the_name_of_the_parameter(wrong):
    with pytest.raises(InputError, match="`curve`: expected"):
        parse_budgets(wrong)
