"""The equations of efficacy, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from transplant.errors import InputError
from transplant.evaluation.intervals import Interval
from transplant.evaluation.invariance import (
    Efficacy,
    efficacy,
    over_seeds,
    verdict,
    weigh_update,
)
from transplant.evaluation.likelihood import Likelihood


def at(*perplexities):
    """Documents of ten tokens with these perplexities."""
    nats = torch.tensor([10 * math.log(ppl) for ppl in perplexities], dtype=torch.float64)
    return Likelihood(nats, torch.full((len(perplexities),), 10.0, dtype=torch.float64))


SYSTEMS = {
    "raw_updated": at(64.0, 64.0),
    "native_updated": at(16.0, 16.0),
    "with_module": at(56.0, 56.0),
    "zero_shot": at(32.0, 32.0),
    "repaired": at(16.0, 16.0),
    "random_module": at(128.0, 128.0),
}


def test_efficacy_by_hand():
    found = weigh_update(SYSTEMS)
    assert set(found) == {"zero_shot", "repaired", "random_module"}
    zero = found["zero_shot"]
    assert zero.ppl.mean == pytest.approx((64 - 32) / (64 - 16))
    assert zero.nats.mean == pytest.approx(1 / 2)
    # The published variant divides by what is left of the old native: 32 / 8, far above 1.
    assert zero.published.mean == pytest.approx(4.0)
    assert found["repaired"].ppl.mean == pytest.approx(1.0)
    assert found["random_module"].ppl.mean == pytest.approx(-64 / 48)
    assert zero.as_dict()["efficacy"] == pytest.approx(2 / 3)
    assert efficacy(64, 32, 16) == pytest.approx(2 / 3)


def test_documents_that_agree_give_no_width_and_documents_that_do_not_give_some():
    even = weigh_update(SYSTEMS)["zero_shot"]
    assert even.ppl.low == pytest.approx(even.ppl.high)
    odd = weigh_update({**SYSTEMS, "zero_shot": at(16.0, 64.0)})["zero_shot"]
    assert odd.nats.mean == pytest.approx(even.nats.mean)
    assert odd.ppl.low == pytest.approx(0.0)
    assert odd.ppl.high == pytest.approx(1.0)


@pytest.mark.parametrize("native", [at(64.0, 64.0), at(80.0, 80.0), at(16.0, 66.0)])
def test_a_native_that_gains_nothing_beyond_its_interval_is_no_ceiling(native):
    found = weigh_update({**SYSTEMS, "native_updated": native})["zero_shot"]
    assert found.ppl is found.nats is None
    assert found.published.mean == pytest.approx(4.0)  # it is measured by another native
    shown = found.as_dict()
    assert shown["no_ceiling"].startswith("no ceiling: the native gains")
    assert shown["efficacy"] is shown["interval"]["efficacy"] is None
    assert verdict(found.ppl) == "no ceiling"
    good = weigh_update(SYSTEMS)["zero_shot"]
    assert "no_ceiling" not in good.as_dict()
    both = over_seeds([good, found])
    assert both.ppl is both.nats is None
    assert both.no_ceiling == found.no_ceiling
    with pytest.raises(InputError, match="nothing to keep"):
        efficacy(64, 32, 64)


def test_efficacy_without_its_systems_is_refused():
    with pytest.raises(InputError, match="no \\['zero_shot'\\]"):
        weigh_update({name: value for name, value in SYSTEMS.items() if name != "zero_shot"})


def test_over_seeds_the_interval_is_students_and_of_one_seed_its_own():
    def of(mean):
        return Efficacy(*(Interval(mean - 1, mean + shift, mean + 1) for shift in (0, 0.1, 0.2)))

    assert over_seeds([of(0.5)]) == of(0.5)
    found = over_seeds([of(0.5), of(0.6), of(0.7)])
    assert found.ppl.mean == pytest.approx(0.6)
    assert found.nats.mean == pytest.approx(0.7)
    half = 4.302652729911275 * 0.1 / math.sqrt(3)  # t at 2 degrees of freedom
    assert found.ppl.as_list() == pytest.approx([0.6 - half, 0.6 + half])


def test_the_verdict_asks_more_of_the_interval_than_of_the_mean():
    assert verdict(Interval(0.51, 0.6, 0.7)) == "pass"
    assert verdict(Interval(0.40, 0.6, 0.7)) == "pass (point)"
    assert verdict(Interval(0.40, 0.49, 0.7)) == "fail"
