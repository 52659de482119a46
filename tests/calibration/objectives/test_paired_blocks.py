"""Paired rows in blocks: all of them, in the type that the target computes in, held once."""

from __future__ import annotations

import weakref

import pytest
import torch

from transplant.backbones.states import States
from transplant.calibration.objectives.paired_blocks import BLOCK, PairedBlocks
from transplant.calibration.paired_rows import InsideRows, LazyBatch, LazyBatches, PairedRows
from transplant.calibration.pairs import PairedText
from transplant.errors import MemoryLimitError


class Target:
    """What is asked of a backbone here."""

    def __init__(self, dtype):
        self.dtype, self.n_layers, self.d_model, self.device = dtype, 2, 4, torch.device("cpu")


def states(rows, seed, dtype):
    made = torch.Generator().manual_seed(seed)
    h_last = torch.randn(rows, 4, generator=made).to(dtype).float()
    first = torch.randn(rows, 4, generator=made).to(dtype).float()
    numbers = torch.arange(rows) + 1000 * seed
    return States({1: first, 2: h_last}, h_last, numbers, numbers + 1, torch.zeros_like(numbers))


def batch(seed, dtype, rows=300, inside=40):
    target = states(rows, seed, dtype)
    return PairedRows(target, target, inside, inside=InsideRows(states(inside, 100 + seed, dtype)))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_row_stands_in_a_block_as_it_was(dtype, inside):
    batches = tuple(batch(seed, dtype) for seed in range(4))
    blocks = PairedBlocks(Target(dtype), PairedText(batches), seed=3, inside=inside)
    rows = torch.cat([one.taught.labels if inside else one.target.labels for one in batches])
    assert len(blocks) == len(rows) // BLOCK
    assert torch.equal(blocks.order.sort().values, torch.arange(len(rows)))
    found = blocks.states(blocks.rows([0, 1]))
    assert torch.equal(found.labels, rows[blocks.order][: 2 * BLOCK])
    whole = torch.cat([one.taught.taps[1] if inside else one.target.taps[1] for one in batches])
    assert torch.equal(found.taps[1], whole[blocks.order][: 2 * BLOCK])
    assert found.taps[2] is found.h_last
    assert found.h_last.dtype == torch.float32


def test_of_batches_in_files_one_is_held_at_a_time():
    alive: list[weakref.ref] = []

    def read(seed):
        assert sum(one() is not None for one in alive) <= 1  # until the next one is read
        made = batch(seed, torch.float32)
        alive.append(weakref.ref(made.target.h_last))
        return made

    lazy = LazyBatches([LazyBatch(300, 40, lambda seed=seed: read(seed)) for seed in range(4)])
    assert len(PairedBlocks(Target(torch.float32), PairedText(lazy), seed=0).order) == 1200
    assert len(alive) == 5  # the first one also says which layers there are


def test_rows_that_do_not_fit_are_refused_before_any_is_read(monkeypatch):
    monkeypatch.setattr("transplant.memory.available_bytes", lambda: 1000)
    batches = (batch(0, torch.float32),)
    with pytest.raises(MemoryLimitError, match="learning from paired rows"):
        PairedBlocks(Target(torch.float32), PairedText(batches), seed=0)
