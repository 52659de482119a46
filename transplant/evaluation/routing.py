"""Routing by uncertainty: a model keeps what it is sure of, the rest goes to a baseline.

Coverage is the share of tokens that the model keeps. Two risks, in nats per token:

    selective   of the tokens that it keeps (Geifman & El-Yaniv 2017, arXiv 1705.08500)
    routed      of all tokens, those that are routed at the baseline's cost

The area under either over coverage is compared with that of a random choice of as many tokens: the
mean of all for the selective risk, the chord between the two ends for the routed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transplant.errors import ShapeError
from transplant.evaluation.intervals import Interval, group_sums, ratio_interval

RESAMPLES = 1000
MOST_TAUS = 400  # thresholds that are tried

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tokens:
    """What is known of every token, [tokens] each."""

    uncertainty: Floats
    nats: Floats
    """What it costs the model."""
    baseline_nats: Floats
    documents: NDArray[np.int64]

    def __post_init__(self) -> None:
        sizes = {len(getattr(self, name)) for name in vars(self)}
        if len(sizes) != 1 or 0 in sizes:
            raise ShapeError("tokens to route", expected="one value of each", found=sorted(sizes))

    def select(self, where: NDArray[np.bool_]) -> Tokens:
        """Some of them."""
        return Tokens(**{name: value[where] for name, value in vars(self).items()})

    def halves(self) -> tuple[Tokens, Tokens]:
        """The tokens of every second document, and the others."""
        _, place = np.unique(self.documents, return_inverse=True)
        return self.select(place % 2 == 0), self.select(place % 2 == 1)


@dataclass(frozen=True)
class Curve:
    """Risks at every coverage that a threshold can have, from nothing kept to everything."""

    taus: Floats
    """[points]; at the first nothing is kept."""
    coverage: Floats
    selective: Floats  # nats per token that is kept; at coverage 0 the first one's
    routed: Floats  # nats per token


@dataclass(frozen=True)
class Areas:
    """By how much routing by uncertainty beats a random choice, in nats per token."""

    selective: Interval
    routed: Interval


def risk_curve(tokens: Tokens) -> Curve:
    """The risks at every threshold; tokens of equal uncertainty go together."""
    order, ends = _groups(tokens.uncertainty)
    points = _points(np.ones((1, len(order))), tokens, order, ends)
    taus = np.concatenate([[-np.inf], tokens.uncertainty[order][ends]])
    return Curve(taus, *(values[0] for values in points))


def areas(tokens: Tokens, *, seed: int = 0) -> Areas:
    """Area of a random choice less that of the uncertainty, with 95 % intervals over documents.

    Args:
        tokens: those of at least one document.
        seed: of the bootstrap.
    """
    order, ends = _groups(tokens.uncertainty)
    _, place = np.unique(tokens.documents, return_inverse=True)
    count = int(place.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    weights = np.concatenate([np.ones((1, count), dtype=np.int64), drawn])
    found = [
        _gains(_points(some[:, place[order]].astype(np.float64), tokens, order, ends))
        for some in np.array_split(weights, max(1, weights.shape[0] * len(order) >> 22))
    ]
    selective, routed = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Areas(_interval(selective), _interval(routed))


def routed_nats(tokens: Tokens, tau: float) -> Floats:
    """What each token costs where those above `tau` go to the baseline."""
    return np.where(tokens.uncertainty <= tau, tokens.nats, tokens.baseline_nats)


def coverage(tokens: Tokens, tau: float) -> float:
    """The share of tokens that the model keeps."""
    return float((tokens.uncertainty <= tau).mean())


def regress(tokens: Tokens, tau: float, *, seed: int = 0) -> Interval:
    """What the documents lose that get worse than under the baseline alone, nats per token.

    sum over documents of max(0, routed - baseline) / tokens, with an interval over documents. What
    other documents gain does not pay for it.
    """
    lost, sizes = _lost(tokens, tau)
    return ratio_interval(lost, sizes, resamples=2000, seed=seed)


def tau_within(tokens: Tokens, budget: float) -> float:
    """The largest threshold at which `regress` is no more than a budget; -inf keeps nothing.

    Args:
        tokens: to choose on; judge the choice on others.
        budget: nats per token.
    """
    for tau in sorted(candidates(tokens), reverse=True):
        if _lost(tokens, tau)[0].sum() / len(tokens.nats) <= budget:
            return float(tau)
    return -np.inf


def candidates(tokens: Tokens, most: int = MOST_TAUS) -> Sequence[float]:
    """Thresholds at equal steps of coverage, the largest uncertainty the last."""
    levels = np.linspace(0, 1, most + 1)[1:]
    return np.unique(np.quantile(tokens.uncertainty, levels, method="inverted_cdf")).tolist()


def _lost(tokens: Tokens, tau: float) -> tuple[Floats, Floats]:
    """What each document loses where it gets worse, in nats, and its tokens; [documents] each."""
    more = routed_nats(tokens, tau) - tokens.baseline_nats
    lost, counts = group_sums(tokens.documents, more, np.ones_like(more))
    return np.maximum(lost, 0.0), counts


def _groups(uncertainty: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of the tokens, surest first, and where each group of equals ends."""
    order = np.argsort(uncertainty, kind="stable")
    ranked = uncertainty[order]
    return order, np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))


def _points(
    weights: Floats, tokens: Tokens, order: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """Coverage and both risks at the ends of groups, [resamples, 1 + groups] each.

    Args:
        weights: [resamples, tokens], in order.
        tokens: in their own order.
        order: the surest first.
        ends: of the groups.
    """
    nats, other = tokens.nats[order], tokens.baseline_nats[order]

    def up_to(values: Floats) -> Floats:
        return np.concatenate([np.zeros((len(weights), 1)), values.cumsum(1)[:, ends]], axis=1)

    kept, cost, saved = up_to(weights), up_to(weights * nats), up_to(weights * other)
    total = kept[:, -1:]
    selective = np.divide(cost, kept, out=np.zeros_like(cost), where=kept > 0)
    first = np.argmax(kept > 0, axis=1)
    empty = np.arange(kept.shape[1]) < first[:, None]
    selective = np.where(empty, selective[np.arange(len(first)), first][:, None], selective)
    return kept / total, selective, (cost + saved[:, -1:] - saved) / total


def _gains(points: tuple[Floats, Floats, Floats]) -> tuple[Floats, Floats]:
    covered, selective, routed = points
    chord = (routed[:, 0] + routed[:, -1]) / 2
    return (
        selective[:, -1] - np.trapezoid(selective, covered, axis=1),
        chord - np.trapezoid(routed, covered, axis=1),
    )


def _interval(statistics: Floats) -> Interval:
    """Of the sample's value, which comes first, and those of its resamples."""
    low, high = np.quantile(statistics[1:], (0.025, 0.975))
    return Interval(float(low), float(statistics[0]), float(high))
