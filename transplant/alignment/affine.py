"""Affine maps on rows, x @ weight + bias: the result of every fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transplant.activations.moments import CrossMoments


@dataclass(frozen=True)
class AffineMap:
    """x [rows, p] -> x @ weight + bias [rows, q]."""

    weight: Tensor  # [p, q]
    bias: Tensor  # [q]

    def __call__(self, x: Tensor) -> Tensor:
        """Applies the map."""
        return x @ self.weight + self.bias

    def then(self, linear: nn.Linear) -> AffineMap:
        """This map followed by a linear layer, folded into one."""
        weight = linear.weight.detach().double().T  # [q, r]
        folded = self.weight.double() @ weight, self.bias.double() @ weight
        bias = folded[1] if linear.bias is None else folded[1] + linear.bias.detach().double()
        return AffineMap(folded[0].to(self.weight.dtype), bias.to(self.bias.dtype))

    @torch.no_grad()
    def write_to(self, linear: nn.Linear) -> None:
        """Makes a linear layer compute this map."""
        linear.weight.copy_(self.weight.T)
        linear.bias.copy_(self.bias)

    def r2(self, held_out: CrossMoments) -> float:
        """The share of the variance of y that the map explains on rows it was not fitted to.

        Computed from moments alone; every output counts by its variance.
        """
        xx, xy, yy = held_out.centred()
        weight = self.weight.double().cpu()
        explained = 2 * (weight * xy).sum() - torch.einsum("pq,pr,rq->", weight, xx, weight)
        offset = held_out.y / held_out.count - (
            held_out.x / held_out.count @ weight + self.bias.double().cpu()
        )
        total = yy.sum()
        return float((explained - (offset**2).sum()) / total) if total > 0 else 0.0
