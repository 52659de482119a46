"""The published distillation: an oracle that was trained on the target teaches.

A random module reaches the same (DESIGN, section 3): what it shows of a donor, its controls say.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.kl import divergence, teacher_at
from transplant.training.losses import through_head

SHARE, TEMPERATURE = 0.9, 2.0


def kd(batch: Batch, change: Tensor, _progress: float) -> Tensor:
    """0.9 T^2 KL(oracle | corrected target) at T = 2, + 0.1 next-token loss; the mean over rows.

    Args:
        batch: labelled rows, with a teacher.
        change: the correction [rows, d_model] that learns.
    """

    def loss_of(logits: Tensor, rows: slice) -> Tensor:
        taught = TEMPERATURE**2 * divergence(teacher_at(batch, rows), logits, TEMPERATURE)
        read = functional.cross_entropy(logits, batch.states.labels[rows], reduction="none")
        return SHARE * taught + (1 - SHARE) * read

    return through_head(batch.target, batch.hidden(change), loss_of, batch.head_type)
