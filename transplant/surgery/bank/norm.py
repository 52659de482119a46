"""The norms that a piece carries: LayerNorm and RMSNorm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transplant.errors import InputError

KINDS = ("layer", "rms")


@dataclass(frozen=True, kw_only=True)
class NormRecipe:
    """Which norm it is."""

    kind: str
    """`layer` or `rms`."""
    width: int
    """Of what it norms."""
    eps: float
    """Added to the variance."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError("unknown norm", expected=f"one of {KINDS}", found=self.kind)


class Norm(nn.Module):
    """LayerNorm with a bias, or RMSNorm without one."""

    def __init__(self, recipe: NormRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.weight = nn.Parameter(torch.ones(recipe.width))
        if recipe.kind == "layer":
            self.bias = nn.Parameter(torch.zeros(recipe.width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        if self.recipe.kind == "layer":
            return nn.functional.layer_norm(
                x, (self.recipe.width,), self.weight, self.bias, self.recipe.eps
            )
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.recipe.eps)
        return (scaled * self.weight.float()).to(x.dtype)
