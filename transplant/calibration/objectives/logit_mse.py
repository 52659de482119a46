"""Mean squared error of logits: every token of the vocabulary counts the same."""

from __future__ import annotations

from torch import Tensor

from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.kl import teacher_at
from transplant.training.losses import through_head


def logit_mse(batch: Batch, change: Tensor, _progress: float) -> Tensor:
    """Mean over rows and vocabulary of the squared difference from the teacher's logits.

    Args:
        batch: rows, with a teacher.
        change: the correction [rows, d_model] that learns.
    """

    def loss_of(logits: Tensor, rows: slice) -> Tensor:
        return (logits - teacher_at(batch, rows)).square().mean(-1)

    return through_head(batch.target, batch.hidden(change), loss_of, batch.head_type)
