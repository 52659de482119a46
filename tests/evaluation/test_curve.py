"""Where the native catches up."""

from __future__ import annotations

import math

import pytest

from transplant.evaluation.curve import crossing

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
