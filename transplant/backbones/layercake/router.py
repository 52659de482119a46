"""The gate of one domain module: how much of it each position takes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import initialization


class Router(nn.Linear):
    """2 * sigmoid(w . z_t + b) from the position's own z: causal, and 1 at the start.

    Args:
        d_abi: the width of z.
    """

    def __init__(self, d_abi: int) -> None:
        super().__init__(d_abi, 1)
        self.become_one()

    def become_one(self) -> None:
        """Zeroes w and b, but for tensors just read from a file."""
        initialization.zeros_(self.weight)
        initialization.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """z [batch, seq, d_abi] to gates [batch, seq, 1] between 0 and 2."""
        return 2 * torch.sigmoid(super().forward(input))
