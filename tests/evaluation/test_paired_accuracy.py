"""Accuracy on pairs: known intervals and tests."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from transplant.errors import ShapeError
from transplant.evaluation.paired_accuracy import accuracy, gain, mcnemar


def test_mcnemar_is_the_sign_test_of_the_pairs_that_differ():
    right = np.array([True] * 9 + [False] * 1 + [True] * 50)
    baseline = np.array([False] * 9 + [True] * 1 + [True] * 50)
    alone = [str(number) for number in range(60)]
    found = mcnemar(right, baseline, alone)
    assert (found.only_model, found.only_baseline) == (9, 1)
    assert found.p == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(right, right, alone).p == 1.0
    with pytest.raises(ShapeError):
        mcnemar(right, right[1:], alone)


def test_pairs_of_one_couple_are_tossed_together():
    draw = np.random.default_rng(2)
    right, baseline = (np.repeat(draw.random(9) < share, 2) for share in (0.7, 0.3))
    right[0], baseline[0] = True, False  # a couple whose pairs differ from one another
    couples = [f"{number // 2}" for number in range(18)]
    by_couple = (right.astype(int) - baseline).reshape(9, 2).sum(1)
    signs = np.asarray([*itertools.product((-1, 1), repeat=9)])
    turned = np.abs(signs @ np.abs(by_couple)) >= abs(by_couple.sum())
    found = mcnemar(right, baseline, couples)
    assert found.p == pytest.approx(turned.mean())
    apart = mcnemar(right, baseline, [str(number) for number in range(18)])  # the control
    assert apart.p < found.p / 2


def test_couples_are_resampled_whole():
    draw = np.random.default_rng(0)
    couple = draw.random(400) < 0.7
    right = np.repeat(couple, 2)  # both pairs of a couple are right, or neither
    names = [f"{number // 2}" for number in range(800)]
    whole, apart = accuracy(right, names), accuracy(right, [f"{n}" for n in range(800)])
    assert whole.mean == apart.mean == pytest.approx(couple.mean())
    assert whole.high - whole.low == pytest.approx(2**0.5 * (apart.high - apart.low), rel=0.1)


def test_a_gain_that_is_there_has_an_interval_above_zero():
    draw = np.random.default_rng(1)
    baseline = draw.random(600) < 0.5
    right = baseline | (draw.random(600) < 0.2)
    names = [str(number) for number in range(600)]
    assert gain(right, baseline, names).low > 0
    assert gain(baseline, right, names).high < 0
    same = gain(baseline, baseline, names)
    assert (same.low, same.mean, same.high) == (0, 0, 0)
