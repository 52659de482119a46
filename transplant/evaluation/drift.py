"""Drift: how far the distribution of a score has moved from where it was."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from transplant.errors import ShapeError

BINS = 10
LEAST = 1e-4  # a share is taken to be no less, so that an empty bin is no infinity


def stability_index(before: ArrayLike, after: ArrayLike, *, bins: int = BINS) -> float:
    """The population stability index of two samples on bins that they share.

    sum over bins of (q - p) ln(q / p), with p and q the shares of `before` and `after`: the
    symmetric Kullback-Leibler divergence of the two histograms. The bins hold equal shares of
    `before`; the outer ones are open. By custom (Siddiqi 2006, Credit Risk Scorecards) less than
    0.1 is stable, more than 0.25 a shift.

    Args:
        before: [n], the baseline's scores.
        after: [m], the model's.
        bins: how many, fewer where quantiles coincide.

    Raises:
        ShapeError: a sample without values.
    """
    old, new = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if old.ndim != 1 or new.ndim != 1 or not len(old) or not len(new):
        raise ShapeError(
            "a stability index compares two samples",
            expected="[n] and [m], at least 1 each", found=f"{old.shape} and {new.shape}",
        )  # fmt: skip
    edges = np.unique(np.quantile(old, np.linspace(0, 1, bins + 1)[1:-1]))

    def shares(values: np.ndarray) -> np.ndarray:
        place = np.searchsorted(edges, values, side="right")
        return np.maximum(np.bincount(place, minlength=len(edges) + 1) / len(values), LEAST)

    p, q = shares(old), shares(new)
    return float(((q - p) * np.log(q / p)).sum())
