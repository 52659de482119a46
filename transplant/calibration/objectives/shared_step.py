"""A step of several processes: each takes its units of a batch, the gradient is that of the whole.

A loss that is a mean over terms (rows, or chunks of text) is the sum of the parts, each weighted by
its terms. One that looks at the batch as a whole, as a ranking of its rows does, is computed by
every process, and counts once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transplant.calibration.objectives.batches import Batches
from transplant.calibration.objectives.table import WHOLE_BATCH, Loss
from transplant.modules.correction import Correction
from transplant.ranks import Ranks
from transplant.training.optimizer import sum_gradients


@dataclass(frozen=True)
class Subject:
    """Something to learn from, by a loss that counts for so much."""

    batches: Batches
    loss: Loss
    weight: float = 1.0


def part_of_loss(
    subject: Subject, correction: Correction, units: Sequence[int], done: float,
    head_type: torch.dtype, ranks: Ranks,
) -> Tensor:  # fmt: skip
    """What this process adds to the loss of a batch: the loss itself, where there is one process.

    Args:
        subject: what is learned from.
        correction: that learns.
        units: of the whole batch.
        done: the share of the steps that are done.
        head_type: in which heads are multiplied.
        ranks: the processes, all of which must call this.
    """

    def loss_at(numbers: Sequence[int]) -> tuple[Tensor, int]:
        batch = dataclasses.replace(subject.batches.batch(numbers), head_type=head_type)
        change = correction(batch.states.taps, batch.states.windows)
        return subject.loss(batch, change, done), batch.terms

    if ranks.count == 1 or subject.loss in WHOLE_BATCH:
        return loss_at(units)[0] / ranks.count
    mine = units[ranks.number :: ranks.count]
    loss, terms = loss_at(mine) if mine else (torch.zeros(()), 0)
    (total,) = ranks.total(terms)
    return loss * (terms / total)


def add_up(moving: Sequence[nn.Parameter], value: Tensor, ranks: Ranks) -> float:
    """Leaves the gradient of the whole batch, from those of the parts; returns its loss.

    Args:
        moving: the parameters, with this process's gradients.
        value: this process's part of the loss.
        ranks: the processes, all of which must call this.
    """
    if ranks.count == 1:
        return value.item()
    (loss,) = sum_gradients(moving, [value.item()], ranks)
    return loss
