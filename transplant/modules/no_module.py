"""No module at all: the control that says what an interface can do by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.modules.domain import DomainModule


class NoModule(DomainModule):
    """y = z: the interface alone, a linear map but for its LayerNorm.

    Args:
        d_abi: the width of the shared space.
    """

    def __init__(self, d_abi: int) -> None:
        super().__init__()
        self.d_abi = d_abi

    def y(self, z: Tensor, windows: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """z [..., d_abi]."""
        return z

    def untrained(self, generator: torch.Generator) -> NoModule:  # noqa: ARG002
        """The same: it has no weights."""
        return NoModule(self.d_abi)
