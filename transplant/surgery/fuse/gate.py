"""A gate for each module, which the layer's own output opens and shuts.

    w_i = o_i * sigmoid(LN(h) . a_i / sqrt(width) + b_i)

The openings o are 0 at first. The sigmoid settles near 0 or 1 where it is sure: a weight that is
linear in h goes on wavering there, and every module pays for it on its own text.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.surgery.fuse.combiner import Combiner


class GateCombiner(Combiner):
    """Each module's weight depends on the layer's output alone.

    Args:
        members: how many modules.
        width: of the layer's output.
        generator: nothing is drawn here.
    """

    def __init__(self, members: int, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__(members, width)
        del generator
        self.weight = nn.Parameter(torch.zeros(width, members))
        self.bias = nn.Parameter(torch.zeros(members))
        self.opening = nn.Parameter(torch.zeros(members))

    def forward(self, hidden: Tensor, deltas: Tensor) -> Tensor:
        """The weights [..., members] of hidden [..., width]; the deltas have no say."""
        del deltas
        normed = functional.layer_norm(hidden, hidden.shape[-1:])
        scores = normed @ self.weight * self.width**-0.5 + self.bias
        return self.opening * scores.sigmoid()
