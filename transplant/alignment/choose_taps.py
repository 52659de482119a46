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
    tried = [*_path(moments, held_out, sizes, ridge)]
    least = max(r2 for _, r2 in tried) - WORTH
    return min((kept for kept, r2 in tried if r2 >= least), key=len)


def _path(
    moments: CrossMoments, held_out: CrossMoments, sizes: Sequence[int], ridge: float
) -> Iterator[tuple[tuple[int, ...], float]]:
    """R2 on held-out rows of the regression on all taps, on all but one, and so on to one."""
    xx, xy, _ = moments.centred()
    xx.diagonal().add_(ridge)
    inverse = torch.linalg.inv(xx)
    del xx  # each of these is a matrix of all columns: none is held longer than it is read
    weight, judged = inverse @ xy, _Judged(moments, held_out)
    kept, left = list(range(len(sizes))), list(sizes)
    while True:
        yield tuple(kept), judged.r2(weight)
        if len(kept) == 1:
            return
        starts = [sum(left[:place]) for place in range(len(left))]
        blocks = [slice(start, start + size) for start, size in zip(starts, left, strict=True)]
        costs = [_cost(inverse, weight, block) for block in blocks]
        place = costs.index(min(costs))
        block = blocks[place]
        others = torch.ones(len(weight), dtype=torch.bool)
        others[block] = False
        across = inverse[others, block]
        solved = torch.linalg.solve(inverse[block, block], torch.cat([weight[block], across.T], 1))
        weight = weight[others] - across @ solved[:, : weight.shape[1]]
        inverse = _square(inverse, others)
        inverse -= across @ solved[:, weight.shape[1] :]
        judged.drop(others)
        del kept[place], left[place]


class _Judged:
    """R2 on held-out rows, of weights that get fewer."""

    def __init__(self, moments: CrossMoments, held_out: CrossMoments) -> None:
        self.xx, self.xy, yy = held_out.centred()
        self.total = float(yy.sum())
        self.off_x = held_out.x / held_out.count - moments.x / moments.count
        self.off_y = held_out.y / held_out.count - moments.y / moments.count

    def r2(self, weight: Tensor) -> float:
        """The share of the variance of y that is explained."""
        explained = 2 * (weight * self.xy).sum() - (weight * (self.xx @ weight)).sum()
        offset = self.off_y - self.off_x @ weight
        return float(explained - (offset**2).sum()) / self.total if self.total > 0 else 0.0

    def drop(self, others: Tensor) -> None:
        """Goes on with these columns."""
        self.xx, self.xy = _square(self.xx, others), self.xy[others]
        self.off_x = self.off_x[others]


def _square(matrix: Tensor, kept: Tensor) -> Tensor:
    """The rows and columns of a matrix that are kept, with no copy of the rows alone."""
    places = kept.nonzero()[:, 0]
    return matrix[places[:, None], places]


def _cost(inverse: Tensor, weight: Tensor, block: slice) -> float:
    own = weight[block]
    return float((own * torch.linalg.solve(inverse[block, block], own)).sum())
