"""The domain module: the portable part, a function on R^d_abi."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class DomainModule(nn.Module, ABC):
    """What every form has: a width, tensors that know no backbone, and an untrained twin."""

    d_abi: int
    reads_windows: ClassVar[bool] = False
    """Whether a position's output depends on the positions before it."""

    @abstractmethod
    def y(self, z: Tensor, windows: Tensor | None = None) -> Tensor:
        """Maps z to y, both [batch, seq, d_abi], or [rows, d_abi] of several windows.

        Args:
            z: the positions.
            windows: [rows], the window of each row, ascending; for forms that read windows.
        """

    @abstractmethod
    def untrained(self, generator: torch.Generator) -> DomainModule:
        """A module of the same shape, drawn at random: what the controls put in its place."""


def init_linear(linear: nn.Linear, generator: torch.Generator | None) -> None:
    """Draws a linear map from N(0, 1 / fan-in), bias 0, from a generator of its own."""
    with torch.no_grad():
        linear.weight.normal_(0.0, linear.in_features**-0.5, generator=generator)
        if linear.bias is not None:
            linear.bias.zero_()
