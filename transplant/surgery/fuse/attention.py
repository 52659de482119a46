"""Attention of the layer's output over what the modules would add, with a slot for adding nothing.

    s_i = (LN(h) Q) . (LN(d_i) K) / sqrt(rank) + b_i      of module i
    s_0 = (LN(h) Q) . k_0 / sqrt(rank) + b_0              of the null slot, whose value is 0
    w_i = o_i * softmax(s)_i

The openings o are 0 at first. Q is too, so that no module is preferred before anything is learnt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.surgery.fuse.combiner import Combiner

RANK = 32  # of queries and keys


class AttentionCombiner(Combiner):
    """A query from the layer's output, a key and a value from each module's change.

    Args:
        members: how many modules.
        width: of the layer's output.
        generator: the source of the keys' map.
    """

    def __init__(self, members: int, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__(members, width)
        self.query = nn.Parameter(torch.zeros(width, RANK))
        self.key = nn.Parameter(torch.randn(width, RANK, generator=generator))
        self.null_key = nn.Parameter(torch.zeros(RANK))
        self.bias = nn.Parameter(torch.zeros(members + 1))  # the null slot's is the last
        self.opening = nn.Parameter(torch.zeros(members))

    def forward(self, hidden: Tensor, deltas: Tensor) -> Tensor:
        """The weights [..., members] of hidden [..., width] and deltas [..., members, width]."""
        keys = _normed(deltas) @ self.key * self.width**-0.5  # [..., members, rank]
        null = self.null_key.expand(*keys.shape[:-2], 1, RANK)
        query = _normed(hidden) @ self.query * self.width**-0.5  # [..., rank]
        scores = (torch.cat([keys, null], dim=-2) @ query[..., None])[..., 0] * RANK**-0.5
        shares = (scores + self.bias).softmax(-1)  # [..., members + 1]
        return self.opening * shares[..., :-1]


def _normed(states: Tensor) -> Tensor:
    return functional.layer_norm(states, states.shape[-1:])
