"""The next tokens of a little domain text. Only the interface learns, held to where it started."""

from __future__ import annotations

from torch import Tensor

from transplant.calibration.objectives.batches import Batch
from transplant.training.losses import next_token_loss


def lm(batch: Batch, change: Tensor, _progress: float) -> Tensor:
    """Mean next-token loss in nats.

    Args:
        batch: labelled rows.
        change: the correction [rows, d_model] that learns.
    """
    hidden = batch.hidden(change)
    return next_token_loss(batch.target, hidden, batch.states.labels, batch.head_type)
