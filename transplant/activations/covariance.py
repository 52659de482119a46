"""The covariance of one tap, streamed: its leading directions, in O(width * directions) memory.

Up to `WHOLE` columns the covariance itself is summed. A wider one is seen through a Gaussian test
matrix, which one pass over the rows allows: Tropp, Yurtsever, Udell and Cevher, "Fixed-rank
approximation of a positive-semidefinite matrix from streaming data", 2017 (arXiv 1706.05736).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.activations.gram import add_gram
from transplant.errors import NumericalError, ShapeError

WHOLE = 1024
OVERSAMPLED = 64


@dataclass(frozen=True)
class Directions:
    """Orthonormal directions of a tap and what the rows vary along them and beside them."""

    vectors: Tensor  # [width, k], float64, the most variance first
    variances: Tensor  # [k]
    rest: float
    """Mean variance of the directions that are left out; 0 where none is."""
    mean: Tensor  # [width]

    def first(self, count: int) -> Directions:
        """The leading ones alone."""
        width, count = len(self.mean), min(count, len(self.variances))
        left = self.rest * (width - len(self.variances)) + float(self.variances[count:].sum())
        rest = left / (width - count) if count < width else 0.0
        return Directions(self.vectors[:, :count], self.variances[:count], rest, self.mean)


class TapCovariance:
    """Sums over rows x [rows, width] of x, |x|^2 and x'x, or x'x times a test matrix; in float64.

    Mergeable: those of one width, count of directions and seed.

    Args:
        width: of a row.
        directions: how many leading ones will be asked for.
        seed: of the test matrix.
    """

    def __init__(self, width: int, directions: int, seed: int = 0) -> None:
        self.width, self.seed = width, seed
        columns = directions + OVERSAMPLED
        self.test: Tensor | None = None
        if width > WHOLE and columns < width:
            generator = torch.Generator().manual_seed(seed)
            self.test = torch.randn(width, columns, generator=generator, dtype=torch.float64)
        self.count = 0
        self.x = torch.zeros(width, dtype=torch.float64)
        self.squares = torch.zeros((), dtype=torch.float64)
        self.xx = torch.zeros(width, width if self.test is None else columns, dtype=torch.float64)

    def update(self, x: Tensor) -> None:
        """Adds rows [rows, width].

        Raises:
            ShapeError: another width.
            NumericalError: a value that is not finite.
        """
        if x.ndim != 2 or x.shape[1] != self.width:
            raise ShapeError("rows of a tap", expected=f"[rows, {self.width}]", found=list(x.shape))
        x = x.detach().cpu().double()
        squares = x.pow(2).sum()
        if not torch.isfinite(squares):
            raise NumericalError("hidden states are not finite")
        self.count += len(x)
        self.x += x.sum(0)
        self.squares += squares
        if self.test is None:
            add_gram(self.xx, x)
        else:
            self.xx.addmm_(x.T, x @ self.test)

    def merge(self, other: TapCovariance) -> None:
        """Adds what another one has seen, as if all rows had come here.

        Raises:
            ShapeError: another width, or another test matrix.
        """
        ours, theirs = ((one.width, one.xx.shape[1], one.seed) for one in (self, other))
        if ours != theirs:
            raise ShapeError("covariances that do not add up", expected=ours, found=theirs)
        self.count += other.count
        self.x += other.x
        self.squares += other.squares
        self.xx += other.xx

    def directions(self, count: int) -> Directions:
        """The `count` leading directions, or as many as were asked for at first.

        Raises:
            NumericalError: fewer than two rows.
        """
        if self.count < 2:
            raise NumericalError("too few rows for a covariance", expected=2, found=self.count)
        mean = self.x / self.count
        total = float(self.squares / self.count - mean @ mean)
        if self.test is None:
            values, vectors = torch.linalg.eigh(self.xx / self.count - torch.outer(mean, mean))
            values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
        else:
            values, vectors = self._nystrom(mean, self.test)
        left = (total - float(values.sum())) / max(1, self.width - len(values))
        return Directions(vectors, values, max(0.0, left), mean).first(count)

    def _nystrom(self, mean: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues and vectors of the Nystrom approximation (algorithm 3 of the paper)."""
        seen = self.xx / self.count - torch.outer(mean, mean @ test)  # [width, columns]
        shift = torch.finfo(torch.float64).eps * self.width**0.5 * torch.linalg.norm(seen)
        seen = seen + shift * test
        inner = test.T @ seen
        factor = torch.linalg.cholesky((inner + inner.T) / 2)
        half = torch.linalg.solve_triangular(factor, seen.T, upper=False).T
        vectors, roots, _ = torch.linalg.svd(half, full_matrices=False)
        return (roots**2 - shift).clamp_min(0), vectors
