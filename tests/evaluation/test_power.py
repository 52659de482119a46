"""Power against a simulation whose variance is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from transplant.errors import InputError
from transplant.evaluation.config import PowerConfig
from transplant.evaluation.power import half_width, measure_power, pass_rate

SD, MARGIN, LEVEL = 0.04, 0.02, 0.95
ASKED = PowerConfig(margin=MARGIN)


def simulated_pass_rate(chunks, *, runs=20_000, seed=0):
    """How often the t interval of `chunks` normal chunks lies above a threshold of 0."""
    drawn = np.random.default_rng(seed).normal(MARGIN, SD, (runs, chunks))
    error = drawn.std(axis=1, ddof=1) / math.sqrt(chunks)
    low = drawn.mean(axis=1) - stats.t.ppf((1 + LEVEL) / 2, chunks - 1) * error
    return float((low > 0).mean())


def measured(sd=SD, count=101):
    """Values whose standard deviation is exactly `sd`, and whose mean is 0.9."""
    values = np.random.default_rng(1).normal(size=count)
    return 0.9 + sd * (values - values.mean()) / values.std(ddof=1)


@pytest.mark.parametrize("chunks", [3, 5, 20, 60])
def test_the_pass_rate_is_that_of_a_simulation(chunks):
    assert pass_rate(SD, chunks, MARGIN) == pytest.approx(simulated_pass_rate(chunks), abs=0.012)


def test_the_chunks_asked_for_reach_the_power_and_half_as_many_do_not():
    found = measure_power({"top5": measured()}, 5, ASKED)["top5"]
    assert simulated_pass_rate(found.chunks_for_power) == pytest.approx(0.80, abs=0.02)
    assert simulated_pass_rate(found.chunks_for_power // 2) < 0.60
    assert pass_rate(SD, found.chunks_for_power - 1, MARGIN) < 0.80


def test_the_standard_error_is_the_spread_of_simulated_protocols():
    found = measure_power({"js": measured()}, 5, ASKED)["js"]
    assert (found.mean, found.sd) == (pytest.approx(0.9), pytest.approx(SD))
    means = np.random.default_rng(2).normal(0.9, SD, (20_000, 5)).mean(axis=1)
    assert found.standard_error == pytest.approx(means.std(), rel=0.02)


def test_the_interval_is_as_narrow_as_the_margin_at_the_chunks_asked_for_and_not_before():
    found = measure_power({"top1": measured()}, 5, ASKED)["top1"]
    assert half_width(SD, found.chunks_for_interval) <= MARGIN
    assert half_width(SD, found.chunks_for_interval - 1) > MARGIN
    assert found.half_width == pytest.approx(2.776445 * SD / math.sqrt(5), rel=1e-5)


def test_half_the_margin_needs_about_four_times_the_chunks():
    coarse, fine = (
        measure_power({"js": measured()}, 5, PowerConfig(margin=m))["js"] for m in (0.01, 0.005)
    )
    assert fine.chunks_for_power / coarse.chunks_for_power == pytest.approx(4, rel=0.05)


def test_chunks_that_do_not_differ_need_no_more_than_two():
    found = measure_power({"js": [0.1, 0.1, 0.1]}, 5)["js"]
    assert (found.chunks_for_power, found.power) == (2, 1.0)


def test_a_margin_beyond_all_doubt_passes_always():
    assert pass_rate(0.01, 5, 1.0) == 1.0
    assert pass_rate(0.01, 1, 1.0) == 0.0


def test_what_has_no_power_is_an_error():
    with pytest.raises(InputError, match="2 measured chunks"):
        measure_power({"js": [0.1]}, 5)
    with pytest.raises(InputError, match="margin"):
        PowerConfig(margin=0.0)
    with pytest.raises(InputError, match="power"):
        PowerConfig(power=1.0)
    with pytest.raises(InputError, match="too small"):
        measure_power({"js": [0.1, 0.2]}, 5, PowerConfig(margin=1e-9))
