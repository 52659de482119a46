"""Accuracy on minimal pairs, and whether two models differ in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transplant.errors import ShapeError
from transplant.evaluation.intervals import Interval, over_groups

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class McNemar:
    """The exact test of McNemar (1947): do two models err on the same pairs equally often?

    Under the hypothesis that they do, the pairs that only one of them gets right are that one's by
    the toss of a coin.
    """

    only_model: int
    """Pairs that the model alone gets right."""
    only_baseline: int
    """Pairs that the baseline alone gets right."""
    p: float
    """Two-sided, of the binomial distribution; 1 where they never differ."""


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


def mcnemar(right: Flags, baseline: Flags) -> McNemar:
    """Compares two models on the same pairs [pairs].

    Raises:
        ShapeError: they were not scored on the same pairs.
    """
    from scipy import stats

    _check_same(right, baseline)
    model, other = int((right & ~baseline).sum()), int((baseline & ~right).sum())
    p = stats.binomtest(model, model + other).pvalue if model + other else 1.0
    return McNemar(model, other, float(p))


def _check_same(right: Flags, baseline: Flags) -> None:
    if right.shape != baseline.shape:
        raise ShapeError(
            "two models are compared on the same pairs",
            expected=f"{len(right)} pairs", found=f"{len(baseline)}",
        )  # fmt: skip
