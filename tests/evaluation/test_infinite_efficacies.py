"""Efficacies with a perplexity that no float holds, or with nothing to divide by."""

from __future__ import annotations

import math

import torch

from transplant.evaluation.intervals import Interval
from transplant.evaluation.invariance import over_seeds, verdict, weigh_update
from transplant.evaluation.likelihood import Likelihood


def at(nats_per_token: float) -> Likelihood:
    """Two documents of ten tokens."""
    tokens = torch.full((2,), 10.0, dtype=torch.float64)
    return Likelihood(nats_per_token * tokens, tokens)


SYSTEMS = {
    "raw_updated": at(4.0), "native_updated": at(3.0), "with_module": at(4.0), "zero_shot": at(3.2),
    "random_module": at(900.0),
}  # fmt: skip
NO_BOUNDS = Interval(-math.inf, -math.inf, math.inf)


def test_a_control_without_a_perplexity_has_no_bounds_and_stops_no_mean_over_seeds():
    control = weigh_update(SYSTEMS)["random_module"]
    assert control.ppl == NO_BOUNDS
    both = over_seeds([control, control])
    assert both.ppl == NO_BOUNDS
    assert both.nats is not None
    assert math.isfinite(both.nats.mean)


def test_an_old_native_that_gains_just_nothing_stops_no_mean_over_seeds():
    zero = weigh_update(SYSTEMS)["zero_shot"]
    both = over_seeds([zero, zero])
    assert math.isnan(both.published.mean)
    assert verdict(both.ppl) == verdict(zero.ppl) == "pass"


def test_a_share_that_is_no_number_passes_nothing():
    assert verdict(Interval(-math.inf, math.nan, math.inf)) == "fail"
