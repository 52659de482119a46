"""AdamW as every loop here uses it: matrices decay, vectors do not."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def make_adamw(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    *,
    fused: bool = False,
) -> torch.optim.AdamW:
    """An optimizer of the parameters that ask for a gradient.

    Args:
        parameters: of a model; frozen ones are left out.
        learning_rate: the peak rate.
        weight_decay: of matrices.
        betas: of the two moments.
        fused: one kernel per step: quicker, and rounded otherwise.
    """
    moving = [p for p in parameters if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in moving if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in moving if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        betas=betas,
        fused=fused,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
