"""Mean squared error to an anchor's correction, on the same backbone; the head does not run."""

from __future__ import annotations

from torch import Tensor

from transplant.calibration.objectives.batches import Batch


def corr_mse(batch: Batch, change: Tensor, _progress: float) -> Tensor:
    """Mean over rows and dimensions of the squared difference from the anchor's correction.

    Args:
        batch: rows, with the anchor's correction.
        change: the correction [rows, d_model] that learns.
    """
    return (change - batch.wanted).square().mean()
