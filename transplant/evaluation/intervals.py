"""Percentile bootstrap (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).

NumPy alone: the samples are chunks or documents, tens to thousands, never tokens. Over a handful
of seeds a bootstrap is too narrow; `t_interval` is for those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from transplant.errors import InputError, NumericalError, ShapeError

# Resampled values drawn at once: bounds the memory of many resamples of many values (32 MiB each).
_BATCH_VALUES = 1 << 22


@dataclass(frozen=True)
class Interval:
    """A statistic of the sample (`mean`) and the bounds of its bootstrap interval."""

    low: float
    """-inf where it has no lower bound, as a ratio's may; null in JSON."""
    mean: float
    high: float
    """inf where it has no upper bound."""

    def as_list(self) -> list[float]:
        """The bounds, [low, high], for JSON."""
        return [self.low, self.high]


def unbounded(mean: float) -> Interval:
    """A number of which its sample says neither how small nor how large it may be."""
    return Interval(-np.inf, mean, np.inf)


def bootstrap_interval(
    values: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int | np.random.Generator = 0,
) -> Interval:
    """Percentile bootstrap interval of a mean.

    A percentile interval is narrow for a handful of values (five chunks: about 0.85 coverage at a
    nominal 0.95); one value gives an interval of no width.

    Args:
        values: [n], one number per chunk or document.
        level: nominal coverage, in (0, 1).
        resamples: how often n of the n values are drawn with replacement.
        seed: of the draws, or a generator to draw from.

    Raises:
        ShapeError: no values, or more than one dimension.
        NumericalError: a value is not finite.
        InputError: `level` or `resamples` out of range.
    """
    sample = _vector("values", values)
    return ratio_interval(sample, np.ones_like(sample), level, resamples, seed)


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int | np.random.Generator = 0,
) -> Interval:
    """Percentile bootstrap interval of a weighted mean difference, sum(a - b) / sum(weights).

    The pairs are resampled whole, with their weights. With log-likelihood sums per document and
    token counts as weights it is the difference in log-likelihood per token, in nats.

    Args:
        a: [n], one sum per document.
        b: [n], the same documents under the other model.
        weights: [n], all positive; each is 1 without them.
        level: nominal coverage, in (0, 1).
        resamples: how often n of the n pairs are drawn with replacement.
        seed: of the draws, or a generator to draw from.

    Raises:
        ShapeError: no values, more than one dimension, or different lengths.
        NumericalError: a value is not finite.
        InputError: a weight that is not positive, or `level` or `resamples` out of range.
    """
    left, right = _vector("a", a), _vector("b", b)
    shares = np.ones_like(left) if weights is None else _vector("weights", weights)
    if not left.shape == right.shape == shares.shape:
        raise ShapeError(
            "a paired bootstrap needs one value per document on each side",
            expected=f"{len(left)} values",
            found=f"{len(right)} values and {len(shares)} weights",
        )
    if not (shares > 0.0).all():
        raise InputError("bootstrap weights", expected="all positive", found=shares.min())
    return ratio_interval(left - right, shares, level, resamples, seed)


def ratio_interval(
    numerator: ArrayLike,
    denominator: ArrayLike,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int | np.random.Generator = 0,
) -> Interval:
    """Percentile bootstrap interval of sum(numerator) / sum(denominator), pairs resampled whole.

    Without a bound, -inf or inf, on a side to which too many resamples run; see `ratio_of_draws`.

    Args:
        numerator: [n], one sum per document.
        denominator: [n]; single ones may be negative, as those of a gain are.
        level: nominal coverage, in (0, 1).
        resamples: how often n of the n pairs are drawn with replacement.
        seed: of the draws, or a generator to draw from.
    """
    numerator, denominator = _vector("numerator", numerator), _vector("denominator", denominator)
    if not 0.0 < level < 1.0:
        raise InputError("bootstrap level", expected="between 0 and 1", found=level)
    if resamples < 1:
        raise InputError("bootstrap resamples", expected=">= 1", found=resamples)
    generator = np.random.default_rng(seed)
    n = len(numerator)
    batch = max(1, _BATCH_VALUES // n)
    over, under = np.empty(resamples), np.empty(resamples)
    for start in range(0, resamples, batch):
        stop = min(start + batch, resamples)
        drawn = generator.integers(n, size=(stop - start, n))  # [batch, n]
        over[start:stop], under[start:stop] = numerator[drawn].sum(1), denominator[drawn].sum(1)
    return ratio_of_draws((numerator.sum(), denominator.sum()), over, under, level)


def ratio_of_draws(
    sample: tuple[float, float],
    numerators: NDArray[np.float64],
    denominators: NDArray[np.float64],
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a ratio whose resampled denominators may be 0 or of the other sign.

    The quotient of such a resample says nothing: where numerator and denominator both change their
    sign it lies amid the others. As in Fieller's interval (1954; of a bootstrap: von Luxburg &
    Franz 2009, Statistica Sinica 19), a resample lies above or below the sample's ratio r by the
    sign of numerator - r * denominator, which needs no quotient. One whose denominator has not the
    sample's sign lies beyond every bound on its side. Where these are (1 - level) / 2 or more of
    all on a side, the interval has no bound there. It is of ratios with a denominator of the
    sample's sign; where all resamples have that, it is the percentile interval of the quotients.

    Args:
        sample: numerator and denominator of the sample itself.
        numerators: [resamples].
        denominators: [resamples], each of the same draw. A draw of 0 / 0 is left out.
        level: nominal coverage, in (0, 1).

    Returns:
        `low` is -inf and `high` inf where there is no bound, as where a number is not finite;
        `mean` NaN where the sample's denominator is 0.
    """
    numerator, denominator = map(float, sample)
    tails = (1.0 - level) / 2.0, (1.0 + level) / 2.0
    if denominator == 0.0:
        return unbounded(np.nan)
    ratio, sign = numerator / denominator, np.sign(denominator)
    if not all(np.isfinite(one).all() for one in (sample, numerators, denominators)):
        return unbounded(ratio)
    turned = sign * denominators <= 0.0
    if not turned.any():
        low, high = np.quantile(numerators / denominators, tails)
        return Interval(float(low), ratio, float(high))
    side = sign * (numerators - ratio * denominators)  # above the sample's ratio: > 0
    beyond = turned & (side != 0.0)  # on the very line of the sample the quotient is r
    undefined = turned & ~beyond & (denominators == 0.0)
    values = np.where(beyond, np.copysign(np.inf, side), ratio)
    np.divide(numerators, denominators, out=values, where=~beyond & ~undefined)
    known = values[~undefined]
    if not known.size:
        return unbounded(ratio)
    low = np.quantile(known, tails[0], method="lower")  # nothing lies between a number and inf
    high = np.quantile(known, tails[1], method="higher")
    return Interval(float(low), ratio, float(high))


def over_groups(
    values: ArrayLike,
    groups: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    resamples: int = 10_000,
    seed: int | np.random.Generator = 0,
) -> Interval:
    """sum(values) / sum(weights) with a 95 % interval: values of one group are resampled together.

    Args:
        values: [n], such as one for each token.
        groups: [n], such as the document of each.
        weights: [n]; each is 1 without them.
        resamples: how often groups are drawn with replacement.
        seed: of the draws, or a generator to draw from.
    """
    sample = _vector("values", values)
    shares = np.ones_like(sample) if weights is None else _vector("weights", weights)
    sums, totals = group_sums(groups, sample, shares)
    return ratio_interval(sums, totals, resamples=resamples, seed=seed)


def group_sums(groups: ArrayLike, *columns: ArrayLike) -> list[NDArray[np.float64]]:
    """The sum over each group of each column.

    Args:
        groups: [n], the group of each value.
        columns: [n] each.
    """
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    return [np.bincount(place, weights=column).astype(np.float64, copy=False) for column in columns]


def t_interval(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """Student's interval of the mean of a few independent values, such as one for each seed.

    Args:
        values: [n], n >= 2, taken to be normally distributed.
        level: nominal coverage, in (0, 1).

    Raises:
        InputError: a single value, which says nothing of the spread.
    """
    from scipy import stats

    sample = _vector("values", values)
    if len(sample) < 2:
        raise InputError("an interval over seeds", expected="2 values or more", found=len(sample))
    mean = float(sample.mean())
    error = float(sample.std(ddof=1)) / len(sample) ** 0.5
    half = float(stats.t.ppf((1.0 + level) / 2.0, len(sample) - 1)) * error
    return Interval(mean - half, mean, mean + half)


def _vector(name: str, values: ArrayLike) -> NDArray[np.float64]:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0:
        raise ShapeError(f"bootstrap {name}", expected="[n], n >= 1", found=list(vector.shape))
    bad = int((~np.isfinite(vector)).sum())
    if bad:
        found = f"{bad} of {vector.size} not finite"
        raise NumericalError(f"bootstrap {name}", expected="finite numbers", found=found)
    return vector
