"""Bases of taps: each tap is read through a few of its columns, and a map of those is folded back.

What reads t_i B_i with weights A_i reads t_i with weights B_i A_i: an interface that was fitted
through bases is an ordinary one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.affine import AffineMap


@dataclass(frozen=True)
class TapBases:
    """For each tap an orthonormal basis [width, k]; together they have the columns of a fit."""

    blocks: tuple[Tensor, ...]

    @property
    def sizes(self) -> list[int]:
        """The columns of each tap."""
        return [block.shape[1] for block in self.blocks]

    @property
    def columns(self) -> int:
        """The columns of all taps."""
        return sum(self.sizes)

    def __call__(self, states: Iterable[Tensor]) -> Tensor:
        """t [rows, columns] from the rows of each tap [rows, width], in order."""
        read = zip(states, self.blocks, strict=True)
        return torch.cat([rows.float() @ block for rows, block in read], dim=-1)

    def folded(self, fitted: AffineMap) -> AffineMap:
        """The map of the taps as they are, of one that was fitted to their columns."""
        parts = zip(self.blocks, fitted.weight.split(self.sizes), strict=True)
        return AffineMap(torch.cat([block @ weight for block, weight in parts]), fitted.bias)

    def split(self, stacked: Tensor) -> tuple[Tensor, ...]:
        """Rows [n_taps * width, ...] tap by tap."""
        return stacked.split([len(block) for block in self.blocks])
