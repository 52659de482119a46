"""Divergence from a teacher's predictions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from transplant.calibration.objectives.batches import Batch
from transplant.training.losses import through_head


def kl(batch: Batch, change: Tensor, _progress: float) -> Tensor:
    """KL(teacher | corrected target) in nats, the mean over rows.

    Args:
        batch: rows, with a teacher.
        change: the correction [rows, d_model] that learns.
    """

    return kl_of(batch, batch.hidden(change))


def kl_of(batch: Batch, hidden: Tensor) -> Tensor:
    """The same of last hidden states [rows, d_model], however they were changed.

    Args:
        batch: rows, with a teacher.
        hidden: what learns.
    """

    def loss_of(logits: Tensor, rows: slice) -> Tensor:
        return divergence(teacher_at(batch, rows), logits)

    return through_head(batch.target, hidden, loss_of, batch.head_type)


def divergence(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher | student) in nats [rows], of logits [rows, vocab] divided by a temperature."""
    log_p, log_q = (logits.div(temperature).log_softmax(-1) for logits in (teacher, student))
    return functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)


@torch.no_grad()
def teacher_at(batch: Batch, rows: slice) -> Tensor:
    """The teacher's logits of a block of rows: nothing flows back into them."""
    return batch.teacher_logits(rows)
