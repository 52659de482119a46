"""A batch that two processes share: the parts are the whole, however its units fall."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from tests.calibration.tiny_training import D_ABI, windows_of
from tests.linked import in_two
from tests.tiny import LAYERS, tiny_backbone
from transplant.calibration.objectives.batches import TextBatches
from transplant.calibration.objectives.corr_mse_curriculum import corr_mse_curriculum
from transplant.calibration.objectives.lm import lm
from transplant.calibration.objectives.shared_step import Subject, add_up, part_of_loss
from transplant.ranks import current
from transplant.training.loop import new_correction
from transplant.training.row_sources import CachedRows


class Noted(TextBatches):
    """Batches that note which units were asked for."""

    def batch(self, units: Sequence[int]):
        """The rows of these windows."""
        self.asked = [*getattr(self, "asked", []), *units]
        return super().batch(units)


@pytest.fixture(scope="module")
def target(tiny_tokenizer):
    return tiny_backbone("llama", tiny_tokenizer, seed=1)


def gradient_of(target, source, loss, units, oracle=None):
    """The loss of a batch, its gradient by P_out, and the units that this process read."""
    correction = new_correction(target.d_model, D_ABI, (LAYERS,), 3)
    torch.nn.init.normal_(
        correction.interface.proj_out.weight, generator=torch.Generator().manual_seed(0)
    )
    moving = [*correction.interface.proj_out.parameters()]
    batches = Noted(target, source, oracle)
    ranks = current()
    part = part_of_loss(
        Subject(batches, loss), correction, units, 0.2, torch.float32, ranks
    )  # fmt: skip
    if part.requires_grad:
        part.backward()
    value = add_up(moving, part, ranks)
    return value, moving[0].grad, batches.asked if hasattr(batches, "asked") else []


@pytest.mark.parametrize("units", [[0, 1, 2], [2, 0], [1]])
def test_two_parts_are_the_whole_and_each_unit_is_read_once(target, text, units):
    source = CachedRows(target, windows_of(target, text.train), range(LAYERS + 1))
    value, gradient, asked = gradient_of(target, source, lm, units)
    assert asked == units
    parts = in_two(lambda: gradient_of(target, source, lm, units))
    assert sorted(parts[0][2] + parts[1][2]) == sorted(units)
    for found, slope, _ in parts:
        assert found == pytest.approx(value, rel=1e-5)
        torch.testing.assert_close(slope, gradient, rtol=1e-4, atol=1e-6)


def test_a_loss_of_the_whole_batch_is_computed_by_both_and_counts_once(target, text):
    source = CachedRows(target, windows_of(target, text.train), range(LAYERS + 1))
    oracle = new_correction(target.d_model, D_ABI, (LAYERS,), 9)
    units = [0, 1, 2]
    value, gradient, _ = gradient_of(target, source, corr_mse_curriculum, units, oracle)
    for found, slope, asked in in_two(
        lambda: gradient_of(target, source, corr_mse_curriculum, units, oracle)
    ):
        assert asked == units
        assert found == pytest.approx(value, rel=1e-5)
        torch.testing.assert_close(slope, gradient, rtol=1e-4, atol=1e-6)
