"""Routing: planted uncertainty, brute force, and a threshold that keeps its budget."""

from __future__ import annotations

import numpy as np
import pytest

from transplant.errors import ShapeError
from transplant.evaluation.routing import (
    Tokens,
    areas,
    candidates,
    regress,
    risk_curve,
    routed_nats,
    tau_within,
)


def planted(informed: bool = True, n: int = 3000) -> Tokens:
    """A model that is better where it is sure and worse where it is not, or doubt at random."""
    draw = np.random.default_rng(0)
    doubt = draw.random(n)
    baseline = np.full(n, 2.0) + draw.normal(0, 0.1, n)
    nats = baseline - 1.0 + 2.0 * doubt + draw.normal(0, 0.1, n)
    return Tokens(
        doubt if informed else draw.permutation(doubt), nats, baseline, np.arange(n) // 60
    )


def test_the_curve_is_that_of_brute_force_with_ties():
    draw = np.random.default_rng(1)
    doubt = draw.integers(0, 5, 50).astype(float)
    tokens = Tokens(doubt, draw.random(50), draw.random(50), np.zeros(50, np.int64))
    curve = risk_curve(tokens)
    assert curve.taus.tolist() == [-np.inf, 0, 1, 2, 3, 4]
    for tau, covered, selective, routed in zip(
        curve.taus, curve.coverage, curve.selective, curve.routed, strict=True
    ):
        kept = doubt <= tau
        assert covered == pytest.approx(kept.mean())
        assert routed == pytest.approx(routed_nats(tokens, tau).mean())
        if kept.any():
            assert selective == pytest.approx(tokens.nats[kept].mean())


def test_planted_uncertainty_beats_random_routing_and_random_does_not():
    informed, random = areas(planted()), areas(planted(informed=False))
    for name in ("selective", "routed"):
        assert getattr(informed, name).low > 0
        gain = getattr(random, name)
        assert gain.low < 0 < gain.high
    # Keeping doubt u saves 1 - 2u: the area of that lies 1/6 below the chord.
    assert informed.routed.mean == pytest.approx(1 / 6, abs=0.01)
    assert informed.selective.mean == pytest.approx(0.5, abs=0.02)


def test_areas_of_the_sample_are_those_of_its_curve():
    tokens = planted()
    curve = risk_curve(tokens)
    chord = (curve.routed[0] + curve.routed[-1]) / 2
    expected = chord - np.trapezoid(curve.routed, curve.coverage)
    assert areas(tokens).routed.mean == pytest.approx(expected)


def test_the_threshold_is_the_largest_within_the_budget():
    tokens = planted()
    for budget in (0.0, 0.001, 0.05):
        tau = tau_within(tokens, budget)
        assert regress(tokens, tau).mean <= budget
        larger = [t for t in candidates(tokens) if t > tau]
        assert all(regress(tokens, t).mean > budget for t in larger[:3])
    assert tau_within(tokens, 10.0) == tokens.uncertainty.max()
    assert tau_within(tokens, 0.05) > tau_within(tokens, 0.001)


def test_a_model_that_is_worse_everywhere_keeps_nothing():
    tokens = planted()
    worse = Tokens(
        tokens.uncertainty, tokens.baseline_nats + 1, tokens.baseline_nats, tokens.documents
    )
    assert tau_within(worse, 0.0) == -np.inf
    assert regress(worse, 2.0).mean == pytest.approx(1.0)


def test_what_documents_gain_pays_for_nothing_that_others_lose():
    one = np.ones(10)
    tokens = Tokens(one, np.repeat([1.0, 3.0], 5), 2 * one, np.repeat([0, 1], 5))
    assert routed_nats(tokens, 1.0).mean() == 2.0
    assert regress(tokens, 1.0).mean == pytest.approx(0.5)


def test_halves_share_no_document():
    one, other = planted().halves()
    assert not set(one.documents) & set(other.documents)
    with pytest.raises(ShapeError):
        Tokens(np.ones(3), np.ones(2), np.ones(3), np.ones(3, np.int64))
