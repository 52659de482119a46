"""The same error, on the rows first where the anchor changes little."""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.calibration.objectives.batches import Batch

FIRST, ALL_BY = 0.25, 0.5  # the share of rows at the start, and when all of them are in


def corr_mse_curriculum(batch: Batch, change: Tensor, progress: float) -> Tensor:
    """`corr_mse` over the rows of the smallest corrections: a quarter of them, then more, then all.

    Args:
        batch: rows, with the anchor's correction.
        change: the correction [rows, d_model] that learns.
        progress: the share of the steps that are done; at half of them all rows are in.
    """
    wanted = batch.wanted
    share = min(1.0, FIRST + (1.0 - FIRST) * progress / ALL_BY)
    admitted = max(1, round(share * len(wanted)))
    rows = torch.topk(wanted.norm(dim=-1), admitted, largest=False, sorted=False).indices
    return (change - wanted)[rows].square().mean()
