"""Partners of windows that are read together."""

from __future__ import annotations

import pytest
import torch

from transplant.errors import InputError
from transplant.text.windows import Window
from transplant.tracing.batch import Batch


def batch_of(documents) -> Batch:
    windows = tuple(Window([1, 2], [1, 2], number) for number in documents)
    return Batch(windows, torch.ones(len(windows), 2, dtype=torch.bool))


def partners_of(documents, seed) -> torch.Tensor:
    return batch_of(documents).derangement(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("documents", "own"),
    [
        ((0, 1), 0), ((0, 0, 1, 1), 0), ((0, 1, 0, 1, 2), 0), ((5, 5, 5, 2, 9, 9, 1), 0),
        ((0, 0, 0, 1), 2), ((3, 0, 3, 3, 3), 3), ((7, 7), 2), ((7, 7, 7), 3),
    ],
)  # fmt: skip
def test_a_partner_is_another_window_and_of_another_document_where_there_are_enough(documents, own):
    of = torch.tensor(documents)
    drawn = set()
    for seed in range(50):
        partner = partners_of(documents, seed)
        drawn.add(tuple(partner.tolist()))
        assert sorted(partner.tolist()) == [*range(len(documents))]
        assert (partner != torch.arange(len(documents))).all()
        assert int((of[partner] == of).sum()) == own
    assert len(drawn) > 1 or len(documents) == 2


def test_with_one_window_of_each_document_it_is_a_cycle_through_all():
    order = torch.randperm(5, generator=torch.Generator().manual_seed(3))
    partner = partners_of(range(5), 3)
    assert torch.equal(partner[order], order.roll(1))


def test_one_window_alone_has_no_partner():
    with pytest.raises(InputError, match=r"no other window.*2 windows or more.*found 1"):
        partners_of((0,), 0)
