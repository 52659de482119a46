"""A gate for each module, linear in what the layer gives."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.surgery.fuse.combiner import Combiner


class GateCombiner(Combiner):
    """w_i = LN(h) . a_i / sqrt(width) + b_i; a and b are 0 at first.

    Args:
        members: how many modules.
        width: of the layer's output.
        generator: draws nothing here.
    """

    def __init__(self, members: int, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__(members, width)
        del generator
        self.weight = nn.Parameter(torch.zeros(width, members))
        self.bias = nn.Parameter(torch.zeros(members))

    def forward(self, hidden: Tensor, deltas: Tensor) -> Tensor:
        """The weights [..., members] of hidden [..., width]; the deltas have no say."""
        del deltas
        normed = functional.layer_norm(hidden, hidden.shape[-1:])
        return normed @ self.weight * self.width**-0.5 + self.bias
