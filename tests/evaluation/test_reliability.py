"""Reliability: known gaps, an independent loop, intervals over documents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from transplant.errors import InputError, ShapeError
from transplant.evaluation.reliability import reliability


def drawn(n: int = 6000, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidences, what came true in `confidence - shift` of the cases, and 60 documents."""
    draw = np.random.default_rng(0)
    sure = draw.beta(2, 2, n) * 0.8 + 0.2
    return sure, draw.random(n) < sure - shift, np.arange(n) % 60


def loop(sure: np.ndarray, right: np.ndarray, bins: int) -> float:
    """The definition, bin by bin."""
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = (sure >= low) & ((sure < high) | (number == bins - 1))
        if inside.any():
            total += abs(right[inside].mean() - sure[inside].mean()) * inside.mean()
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("shift", [0.0, 0.15])
def test_the_error_is_that_of_the_definition(bins, shift):
    sure, right, documents = drawn(shift=shift)
    found = reliability(sure, right, documents, bins=bins)
    assert found.ece.mean == pytest.approx(loop(sure, right, bins), abs=1e-9)
    assert found.counts.sum() == len(sure)
    assert found.worst >= found.ece.mean - 1e-12


def test_the_error_is_that_of_torchmetrics():
    draw = torch.Generator().manual_seed(0)
    probabilities = torch.randn(3000, 50, generator=draw).mul(3).softmax(1)
    labels = torch.randint(50, (3000,), generator=draw)
    expected = multiclass_calibration_error(probabilities, labels, num_classes=50, n_bins=15)
    sure, first = probabilities.max(1)
    found = reliability(sure, first == labels, np.arange(3000) % 9, bins=15)
    assert found.ece.mean == pytest.approx(float(expected), abs=1e-6)


def test_a_shift_is_found_and_calibration_is_told_from_it():
    shifted = reliability(*drawn(shift=0.15)).ece
    calibrated = reliability(*drawn()).ece
    assert shifted.mean == pytest.approx(0.15, abs=0.02)
    assert shifted.low > calibrated.high


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.15])
def test_the_interval_holds_the_error_of_the_sample(shift):
    sure, right, documents = drawn(shift=shift)
    found = reliability(sure, right, documents).ece
    assert 0 <= found.low <= found.mean <= found.high
    assert found.high - found.low < 0.05  # control: it does not hold whatever there is


def test_certainty_stands_in_the_last_bin():
    found = reliability([1.0, 1.0, 0.95], [True, False, True], [0, 0, 1], bins=10)
    assert found.counts.tolist() == [0] * 9 + [3]
    assert found.ece.mean == pytest.approx(abs(2 / 3 - 2.95 / 3))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError):
        reliability([0.5], [True, False], [0, 0])
    with pytest.raises(InputError):
        reliability([1.5], [True], [0])
