"""Accuracy on minimal pairs, and whether two models differ in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transplant.errors import ShapeError
from transplant.evaluation.intervals import Interval, group_sums, over_groups

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class McNemar:
    """The exact test of McNemar (1947): do two models err on the same pairs equally often?

    Under the hypothesis that they do, the pairs that only one of them gets right are that one's by
    the toss of a coin. Pairs of one couple are no tosses of their own: the coin turns a couple
    whole (Fisher's randomisation test; of couples of one pair it is McNemar's).
    """

    only_model: int
    """Pairs that the model alone gets right."""
    only_baseline: int
    """Pairs that the baseline alone gets right."""
    p: float
    """Two-sided, over couples; 1 where the two never differ."""


def accuracy(right: Flags, couples: Sequence[str], *, seed: int = 0) -> Interval:
    """The share of pairs that are right, with a 95 % bootstrap interval over couples.

    Args:
        right: [pairs].
        couples: of each pair; those of one couple are resampled together.
        seed: of the bootstrap.
    """
    return over_groups(right, couples, seed=seed)


def gain(right: Flags, baseline: Flags, couples: Sequence[str], *, seed: int = 0) -> Interval:
    """Accuracy less that of a baseline on the same pairs, with an interval over couples."""
    _check_same(right, baseline)
    return over_groups(right.astype(np.float64) - baseline, couples, seed=seed)


def mcnemar(right: Flags, baseline: Flags, couples: Sequence[str]) -> McNemar:
    """Compares two models on the same pairs [pairs].

    Args:
        right: by the model.
        baseline: by the other one.
        couples: of each pair; the coin turns those of one couple together.

    Raises:
        ShapeError: they were not scored on the same pairs.
    """
    _check_same(right, baseline)
    model, other = int((right & ~baseline).sum()), int((baseline & ~right).sum())
    (by_couple,) = group_sums(couples, right.astype(np.float64) - baseline)
    return McNemar(model, other, _turned(by_couple.astype(np.int64)))


def _turned(differences: NDArray[np.int64]) -> float:
    """How often a sum is as far from 0 when each of its terms has the sign that a coin gives it."""
    from scipy import stats

    likely = np.ones(1)  # of each sum, from the least to the largest
    for size, count in enumerate(np.bincount(np.abs(differences))[1:], start=1):
        tosses = np.zeros(2 * size * count + 1)
        tosses[:: 2 * size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        likely = np.convolve(likely, tosses)
    sums = np.arange(len(likely)) - len(likely) // 2
    return min(1.0, float(likely[np.abs(sums) >= abs(int(differences.sum()))].sum()))


def _check_same(right: Flags, baseline: Flags) -> None:
    if right.shape != baseline.shape:
        raise ShapeError(
            "two models are compared on the same pairs",
            expected=f"{len(right)} pairs", found=f"{len(baseline)}",
        )  # fmt: skip
