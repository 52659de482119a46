"""The second moment: shards add up, and what is no number is refused."""

from __future__ import annotations

import pytest
import torch

from transplant.basis.moment import SecondMoment
from transplant.errors import NumericalError, ShapeError


@pytest.mark.parametrize("seed", range(8))
def test_two_shards_are_one(seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(200 + seed, 12, generator=generator) * torch.logspace(-3, 3, 12)
    cut = int(torch.randint(1, 199, (), generator=generator))
    whole, one, two = (SecondMoment(12) for _ in range(3))
    whole.update(rows)
    one.update(rows[:cut])
    two.update(rows[cut:])
    one.merge(SecondMoment.from_tensors(two.as_tensors()))
    exact = rows.double().T @ rows.double() / len(rows)
    assert one.count == len(rows)
    assert (one.mean() - whole.mean()).abs().max() <= 1e-10 * whole.mean().abs().max()
    assert (one.mean() - exact).abs().max() <= 1e-10 * exact.abs().max()
    single = (rows.T @ rows).double() / len(rows)  # control: single precision is not enough
    assert (single - exact).abs().max() > 1e-10 * exact.abs().max()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_is_refused_and_leaves_no_trace(value):
    moment = SecondMoment(3)
    moment.update(torch.ones(2, 3))
    with pytest.raises(NumericalError):
        moment.update(torch.tensor([[1.0, value, 1.0]]))
    assert torch.equal(moment.mean(), torch.ones(3, 3).double())


def test_no_rows_change_nothing():
    moment = SecondMoment(3)
    moment.update(torch.ones(2, 3))
    moment.update(torch.ones(0, 3))
    assert torch.equal(moment.mean(), torch.ones(3, 3).double())


def test_other_widths_are_refused():
    with pytest.raises(ShapeError):
        SecondMoment(3).update(torch.ones(2, 4))
    with pytest.raises(ShapeError):
        SecondMoment(3).merge(SecondMoment(4))
    with pytest.raises(NumericalError, match="no rows"):
        SecondMoment(3).mean()
