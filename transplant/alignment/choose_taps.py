"""Which taps a regression needs: dropped one by one, judged on rows that it was not fitted to.

What the ridge regression loses with a block of columns t is tr(W_t' (A^-1)_tt^-1 W_t), without
another fit (Hassibi and Stork, "Second order derivatives for network pruning: optimal brain
surgeon", 1993, for blocks). The tap that costs least goes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap

WORTH = 1e-3
"""R2 on held-out rows that fewer taps may cost in all."""


def choose_taps(
    moments: CrossMoments, held_out: CrossMoments, sizes: Sequence[int], ridge: float
) -> tuple[int, ...]:
    """The fewest taps within `WORTH` of the best R2 that any number of them has on held-out rows.

    Args:
        moments: of the columns of all taps, to fit on.
        held_out: the same of other rows, to judge on.
        sizes: the columns of each tap.
        ridge: the absolute strength.
    """
    tried = [(kept, fitted.r2(held_out)) for kept, fitted in _path(moments, sizes, ridge)]
    least = max(r2 for _, r2 in tried) - WORTH
    return min((kept for kept, r2 in tried if r2 >= least), key=len)


def _path(
    moments: CrossMoments, sizes: Sequence[int], ridge: float
) -> Iterator[tuple[tuple[int, ...], AffineMap]]:
    """The regression on all taps, on all but one, and so on to one."""
    xx, xy, _ = moments.centred()
    inverse = torch.linalg.inv(xx + ridge * torch.eye(len(xx), dtype=torch.float64))
    weight = inverse @ xy
    mean_x, mean_y = moments.x / moments.count, moments.y / moments.count
    starts = [sum(sizes[:tap]) for tap in range(len(sizes))]
    blocks = [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    kept = list(range(len(sizes)))
    while True:
        yield tuple(kept), AffineMap(weight, mean_y - mean_x @ weight)
        if len(kept) == 1:
            return
        least = min(kept, key=lambda tap: _cost(inverse, weight, blocks[tap]))
        kept.remove(least)
        block = blocks[least]
        own, across = inverse[block, block], inverse[:, block].clone()
        weight = weight - across @ torch.linalg.solve(own, weight[block])
        inverse = inverse - across @ torch.linalg.solve(own, across.T)
        weight[block] = 0.0


def _cost(inverse: Tensor, weight: Tensor, block: slice) -> float:
    own = weight[block]
    return float((own * torch.linalg.solve(inverse[block, block], own)).sum())
