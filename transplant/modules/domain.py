"""The domain module: the portable part, a function on R^d_abi."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from transplant.errors import ShapeError


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


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Copies stored tensors into a module, exactly.

    Raises:
        ShapeError: names the first tensor that is missing, unknown or of another shape.
    """
    expected = module.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        want = tuple(expected[name].shape) if name in expected else "no such tensor"
        got = tuple(tensors[name].shape) if name in tensors else "nothing"
        if want != got:
            raise ShapeError(f"{what}: {name}", expected=want, found=got)
    module.load_state_dict(dict(tensors))
