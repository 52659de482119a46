"""Reliability: does what is predicted with confidence c come true in c of the cases?

Expected calibration error of the top label (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599,
equation 3), with bins of equal width [edge, next edge), the last one closed, as torchmetrics has
them (`MulticlassCalibrationError`, norm l1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from transplant.errors import InputError, ShapeError
from transplant.evaluation.intervals import Interval

BINS = 15
_RESAMPLES = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """What was predicted and what came true, by bin of confidence."""

    counts: NDArray[np.int64]  # [bins]
    confidence: Floats  # [bins], the mean in each; 0 where it is empty
    accuracy: Floats  # [bins], the share that came true; 0 where it is empty
    ece: Interval
    """Mean of |accuracy - confidence| over predictions, with an interval over documents."""

    @property
    def worst(self) -> float:
        """The largest |accuracy - confidence| of a bin: the maximum calibration error."""
        return float(np.abs(self.accuracy - self.confidence).max())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ece": self.ece.mean,
            "interval": {"ece": self.ece.as_list()},
            "worst": self.worst,
            "bins": [
                {"from": edge, "count": int(count), "confidence": sure, "accuracy": share}
                for edge, count, sure, share in zip(
                    np.linspace(0, 1, len(self.counts) + 1)[:-1].tolist(), self.counts.tolist(),
                    self.confidence.tolist(), self.accuracy.tolist(), strict=True,
                )
            ],
        }  # fmt: skip


def reliability(
    confidence: ArrayLike,
    right: ArrayLike,
    documents: ArrayLike,
    *,
    bins: int = BINS,
    seed: int = 0,
) -> Reliability:
    """Compares confidence with what came true.

    Args:
        confidence: [n] of each prediction, in [0, 1].
        right: [n], whether it came true.
        documents: [n], the document of each: they are resampled whole.
        bins: of equal width.
        seed: of the bootstrap.

    Raises:
        ShapeError: not as many of each, or none.
        InputError: a confidence outside [0, 1], or no bin.
    """
    sure, came = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if not sure.shape == came.shape == np.shape(documents) or sure.size == 0:
        raise ShapeError(
            "reliability needs one of each for every prediction",
            expected=f"{sure.size} each, at least 1", found=f"{came.size}, {np.size(documents)}",
        )  # fmt: skip
    if bins < 1 or not ((sure >= 0) & (sure <= 1)).all():
        raise InputError("reliability", expected="bins, and confidences from 0 to 1")
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, bins - 1)
    _, document = np.unique(documents, return_inverse=True)
    cell = document * bins + place
    size = (int(document.max()) + 1) * bins

    def sums(weights: Floats) -> Floats:
        added = np.bincount(cell, weights=weights, minlength=size).astype(np.float64)
        return added.reshape(-1, bins)

    counts, confident, true = sums(np.ones_like(sure)), sums(sure), sums(came)  # [docs, bins]
    drawn = np.random.default_rng(seed).multinomial(
        len(counts), np.full(len(counts), 1 / len(counts)), size=_RESAMPLES
    )
    gaps = np.abs(drawn @ (true - confident)).sum(1) / (drawn @ counts.sum(1))
    total = counts.sum(0)
    filled = np.maximum(total, 1)
    error = float(np.abs((true - confident).sum(0)).sum() / len(sure))
    return Reliability(
        total.astype(np.int64), confident.sum(0) / filled, true.sum(0) / filled,
        _around(error, gaps),
    )  # fmt: skip


def _around(error: float, resampled: Floats) -> Interval:
    """The 95 % of resamples, moved so that their mean is the error of the sample.

    |accuracy - confidence| of a bin can only grow by the noise of a resample where it is near 0: of
    a calibrated model all resamples may lie above the sample (on the bias of a bootstrap: Efron and
    Tibshirani 1993, chapter 10).
    """
    low, high = np.quantile(resampled, (0.025, 0.975)) - (resampled.mean() - error)
    return Interval(max(0.0, float(low)), error, float(high))
