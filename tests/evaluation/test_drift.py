"""The population stability index: zero for the same, known for a shift."""

from __future__ import annotations

import math

import numpy as np
import pytest

from transplant.errors import ShapeError
from transplant.evaluation.drift import stability_index


def test_the_same_sample_is_stable_and_a_shift_is_not():
    draw = np.random.default_rng(0)
    before = draw.normal(size=5000)
    assert stability_index(before, before) == 0.0
    assert stability_index(before, draw.normal(size=5000)) < 0.02
    shifted = stability_index(before, draw.normal(1.0, size=5000))
    assert shifted > 0.5
    assert stability_index(before, draw.normal(0.3, size=5000)) < shifted


def test_two_bins_give_the_sum_by_hand():
    before, after = np.repeat([0.0, 1.0], [50, 50]), np.repeat([0.0, 1.0], [80, 20])
    expected = 0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5)
    assert stability_index(before, after, bins=2) == pytest.approx(expected)


def test_empty_bins_and_equal_values_stay_finite():
    assert math.isfinite(stability_index(np.arange(100.0), np.full(10, 1e9)))
    assert stability_index(np.zeros(100), np.zeros(50)) == 0.0
    with pytest.raises(ShapeError):
        stability_index([], [1.0])
