"""The next tokens of a little domain text. Only the interface learns, held to where it started."""

from __future__ import annotations

from torch import Tensor

from transplant.calibration.objectives.lessons import Lesson
from transplant.training.losses import next_token_loss


def lm(lesson: Lesson, change: Tensor, _progress: float) -> Tensor:
    """Mean next-token loss in nats.

    Args:
        lesson: labelled rows.
        change: the correction [rows, d_model] that learns.
    """
    hidden = lesson.hidden(change)
    return next_token_loss(lesson.target, hidden, lesson.states.labels, lesson.head_type)
