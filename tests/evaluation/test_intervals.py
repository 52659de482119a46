import numpy as np
import pytest

from transplant.errors import InputError, NumericalError, ShapeError
from transplant.evaluation import intervals
from transplant.evaluation.intervals import (
    Interval,
    bootstrap_interval,
    paired_bootstrap,
    t_interval,
)


def test_interval_covers_a_known_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        interval = bootstrap_interval(rng.normal(3.0, 2.0, 40), resamples=500, seed=trial)
        hits += interval.low <= 3.0 <= interval.high
    assert 0.90 <= hits / 300 <= 0.98


def test_interval_of_a_normal_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(1).normal(0.0, 1.0, 2000)
    interval = bootstrap_interval(values, resamples=4000)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.1)


def test_a_higher_level_gives_a_wider_interval():
    values = np.random.default_rng(2).normal(size=30)
    narrow, wide = (bootstrap_interval(values, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_the_seed_fixes_the_interval():
    values = np.random.default_rng(4).normal(size=10)
    first = bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=np.random.default_rng(3)) == first
    assert bootstrap_interval(values, seed=4) != first


def test_batches_draw_like_one_batch(monkeypatch):
    whole = bootstrap_interval(np.arange(10.0), resamples=1000)
    monkeypatch.setattr(intervals, "_BATCH_VALUES", 70)
    assert bootstrap_interval(np.arange(10.0), resamples=1000) == whole


def test_equal_values_give_no_width():
    assert bootstrap_interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5)
    assert bootstrap_interval([0.5]).as_list() == [0.5, 0.5]


def test_paired_mean_is_weighted_by_tokens():
    interval = paired_bootstrap([-10.0, -30.0], [-12.0, -40.0], [10, 30])
    assert interval.mean == pytest.approx(12.0 / 40.0)
    assert interval.low == pytest.approx(0.2)
    assert interval.high == pytest.approx(1 / 3)


def test_paired_without_weights_is_the_interval_of_the_difference():
    a, b = np.random.default_rng(5).normal(size=(2, 50))
    assert paired_bootstrap(a, b, seed=1) == bootstrap_interval(a - b, seed=1)


def test_pairing_is_narrower_than_treating_the_sides_apart():
    rng = np.random.default_rng(6)
    hard = rng.normal(0.0, 10.0, 200)
    better, worse = hard + 0.5, hard + rng.normal(0.0, 0.1, 200)
    assert paired_bootstrap(better, worse).low > 0.4
    assert paired_bootstrap(better, rng.permutation(worse)).low < 0.0


def test_what_cannot_be_resampled_is_an_error():
    with pytest.raises(ShapeError):
        bootstrap_interval([])
    with pytest.raises(ShapeError):
        bootstrap_interval([[1.0, 2.0]])
    with pytest.raises(ShapeError, match="paired"):
        paired_bootstrap([1.0, 2.0], [1.0])
    with pytest.raises(ShapeError, match="paired"):
        paired_bootstrap([1.0, 2.0], [1.0, 2.0], [1.0])
    with pytest.raises(NumericalError, match="1 of 2"):
        bootstrap_interval([1.0, float("nan")])


def test_options_out_of_range_are_an_error():
    with pytest.raises(InputError, match="level"):
        bootstrap_interval([1.0], level=1.0)
    with pytest.raises(InputError, match="resamples"):
        bootstrap_interval([1.0], resamples=0)
    with pytest.raises(InputError, match="weights"):
        paired_bootstrap([1.0, 2.0], [1.0, 1.0], [1.0, 0.0])


def test_students_interval_is_the_textbooks():
    found = t_interval([1.0, 2.0, 4.0])
    error = np.std([1.0, 2.0, 4.0], ddof=1) / 3**0.5
    assert found.mean == pytest.approx(7 / 3)
    assert found.high - found.mean == pytest.approx(4.302653 * error, rel=1e-5)
    assert found.mean - found.low == pytest.approx(4.302653 * error, rel=1e-5)
    with pytest.raises(InputError, match="2 values"):
        t_interval([1.0])
