"""Intervals of ratios whose resampled denominators may change their sign."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from transplant.evaluation.evidence import weigh
from transplant.evaluation.intervals import Interval, ratio_interval, ratio_of_draws
from transplant.evaluation.invariance import verdict, weigh_update
from transplant.evaluation.likelihood import Likelihood

TAILS = (1.0 - 0.95) / 2, (1.0 + 0.95) / 2
NORMAL = 1.959964


def gains(strength, documents=400):
    """Numerators that are all but certain over denominators of a given mean over error, [n] each.

    Their ratio is 1.
    """
    rng = np.random.default_rng(3)
    apart, odd = rng.normal(size=(2, documents))
    below = (apart - apart.mean()) / apart.std() + strength / math.sqrt(documents)
    above = below.mean() + 0.1 * (odd - odd.mean())
    return above, below


def quotients(above, below, resamples):
    drawn = np.random.default_rng(0).integers(len(above), size=(resamples, len(above)))
    over, under = above[drawn].sum(1), below[drawn].sum(1)
    with np.errstate(divide="ignore"):
        return over / under, under


def fieller(x, y):
    """Fieller's bounds of mean(x) / mean(y), where the mean of y differs from 0 (1954)."""
    n, square = len(x), NORMAL**2
    (xx, xy), (_, yy) = np.cov(x, y, ddof=0) / n
    terms = y.mean() ** 2 - square * yy, x.mean() * y.mean() - square * xy
    roots = np.roots([terms[0], -2 * terms[1], x.mean() ** 2 - square * xx])
    return sorted(roots.real)


def test_where_no_denominator_changes_its_sign_it_is_the_interval_of_the_quotients():
    above, below = gains(8.0)
    values, drawn = quotients(above, below, 4000)
    assert (drawn > 0).all()
    low, high = np.quantile(values, TAILS)
    assert ratio_interval(above, below, resamples=4000) == Interval(
        low, above.sum() / below.sum(), high
    )


def test_near_a_denominator_of_zero_the_bounds_are_fiellers():
    above, below = gains(2.05)
    values, drawn = quotients(above, below, 20_000)
    assert 0.01 < (drawn <= 0).mean() < 0.025
    found = ratio_interval(above, below, resamples=20_000)
    low, high = fieller(above, below)
    assert found.low == pytest.approx(low, abs=0.01)
    assert 1 / found.high == pytest.approx(1 / high, abs=0.01)
    naive = np.quantile(values, TAILS)  # quotients of the wrong sign fill its lower tail
    assert naive[0] < low - 0.05
    assert 1 / naive[1] > 1 / high + 0.1


def test_there_is_no_bound_on_the_side_to_which_too_many_resamples_run():
    above, below = gains(1.5)
    found = ratio_interval(above, below)
    assert found.high == math.inf
    assert 0.0 < found.low < found.mean == pytest.approx(1.0)
    assert all(np.isfinite(np.quantile(quotients(above, below, 10_000)[0], TAILS)))  # a control
    turned = ratio_interval(-above, below)
    assert turned == Interval(-math.inf, -found.mean, -found.low)
    assert ratio_interval(-above, -below) == found
    even = ratio_interval(gains(0.2)[0] - gains(0.2)[0].mean(), gains(0.2)[1])
    assert even.as_list() == [-math.inf, math.inf]


def test_what_is_always_in_one_proportion_has_that_ratio_whatever_the_denominators_do():
    _, below = gains(1.5)
    assert ratio_interval(below, below) == Interval(1.0, 1.0, 1.0)
    assert ratio_interval(0.0 * below, below) == Interval(0.0, 0.0, 0.0)


def test_a_draw_of_nothing_over_nothing_is_left_out():
    found = ratio_interval([0.0, 1.0], [0.0, 2.0])
    assert found == Interval(0.5, 0.5, 0.5)
    none = ratio_of_draws((1.0, 2.0), np.zeros(5), np.zeros(5))
    assert none == Interval(-math.inf, 0.5, math.inf)
    over_zero = ratio_of_draws((1.0, 2.0), np.array([1.0, 1.0, 1.0]), np.array([0.0, 2.0, 2.0]))
    assert over_zero == Interval(0.5, 0.5, math.inf)
    sample = ratio_of_draws((1.0, 0.0), np.ones(3), np.ones(3))
    assert (sample.low, sample.high) == (-math.inf, math.inf)
    assert math.isnan(sample.mean)


RAW, TOKENS = torch.full((10,), 40.0).double(), torch.full((10,), 10.0).double()
NATIVE = torch.tensor([9.0, -3.0, -2.5, -2.0, 6.0, 5.0, -1.0, 4.0, -2.0, 3.0]).double()


def gaining(nats):
    """Ten documents on which this is gained, in nats."""
    return Likelihood(RAW - nats, TOKENS)


def updated(native, moved):
    return weigh_update({
        "raw_updated": gaining(0.0), "native_updated": gaining(native),
        "with_module": gaining(native), "zero_shot": gaining(moved),
    })["zero_shot"]  # fmt: skip


def test_shares_at_the_edge_of_a_ceiling_are_wide_above_and_not_below():
    native = NATIVE + 0.9
    values, drawn = quotients(np.full(10, 1.5), native.numpy(), 10_000)
    assert 0.005 < (drawn <= 0).mean() < 0.025
    naive = np.quantile(values, TAILS)
    controls = ("random_module", "shuffled_pairs", "linear_surrogate", "random_refitted")
    weighed = weigh({
        "raw": gaining(0.0), "native": gaining(native), "candidate": gaining(1.5),
        **dict.fromkeys(controls, gaining(0.0)),
    })  # fmt: skip
    shares = (
        weighed.recovered["candidate"], weighed.donor_attributable, weighed.module_attributable,
        updated(native, 1.5).nats,
    )  # fmt: skip
    for share in shares:
        assert naive[0] < share.low
        assert naive[1] < share.high < math.inf
    assert weighed.recovered["native"] == Interval(1.0, 1.0, 1.0)


def test_an_efficacy_by_a_native_that_may_gain_nothing_has_one_bound():
    found = updated(NATIVE, 1.5)
    assert found.ppl is found.nats is None
    assert found.published.high == math.inf
    assert 0.2 < found.published.low < found.published.mean
    assert verdict(found.published, 0.2) == "pass"
    other = updated(NATIVE, -1.5).published
    assert other.low == -math.inf
    assert other.high < -0.2
    assert verdict(other, -2.0) == "pass (point)"  # the mean alone is above it
    better = updated(-NATIVE, 1.5).published  # the native loses: of one below 0
    assert better.low == -math.inf
    assert better.high < 0
