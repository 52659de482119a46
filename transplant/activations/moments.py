"""Streamed second moments of pairs of rows: all that a linear fit needs, in O(d^2) memory."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from transplant.activations.gram import add_gram
from transplant.errors import NumericalError, ShapeError
from transplant.ranks import Ranks

SUMS = ("x", "y", "xx", "xy", "yy")


class CrossMoments:
    """Sums over rows of x, y, x'x, x'y and y*y, in float64; mergeable.

    Args:
        p: the width of x.
        q: the width of y.
    """

    def __init__(self, p: int, q: int) -> None:
        self.p, self.q = p, q
        self.count = 0
        self.x = torch.zeros(p, dtype=torch.float64)
        self.y = torch.zeros(q, dtype=torch.float64)
        self.xx = torch.zeros(p, p, dtype=torch.float64)
        self.xy = torch.zeros(p, q, dtype=torch.float64)
        self.yy = torch.zeros(q, dtype=torch.float64)  # the diagonal: for R2

    def update(self, x: Tensor, y: Tensor) -> None:
        """Adds rows x [rows, p] and y [rows, q].

        Raises:
            ShapeError: other widths, or unequal numbers of rows.
            NumericalError: a value that is not finite.
        """
        if x.shape != (len(y), self.p) or y.shape != (len(x), self.q):
            raise ShapeError(
                "moments take paired rows",
                expected=f"[rows, {self.p}] and [rows, {self.q}]",
                found=f"{list(x.shape)} and {list(y.shape)}",
            )
        x, y = x.detach().cpu().double(), y.detach().cpu().double()
        xy = x.T @ y
        if not torch.isfinite(xy).all():
            raise NumericalError("hidden states are not finite")
        self.count += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        add_gram(self.xx, x)
        self.xy += xy
        self.yy += (y * y).sum(0)

    def merge(self, other: CrossMoments) -> None:
        """Adds what another one has seen, as if all rows had come here."""
        if (self.p, self.q) != (other.p, other.q):
            raise ShapeError(
                "moments of other widths", expected=(self.p, self.q), found=(other.p, other.q)
            )
        self.count += other.count
        for name in SUMS:
            getattr(self, name).add_(getattr(other, name))

    def add_up(self, ranks: Ranks) -> None:
        """Adds what the other processes have seen; all have the same sums then."""
        self.count = int(ranks.total(self.count)[0])
        ranks.sum(*(getattr(self, name) for name in SUMS))

    def as_tensors(self) -> dict[str, Tensor]:
        """Everything it has seen, for a file; `from_tensors` reads it back."""
        sums = {name: getattr(self, name).clone() for name in SUMS}
        return {"count": torch.tensor(self.count), **sums}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> CrossMoments:
        """What `as_tensors` gave out.

        Raises:
            ShapeError: a sum is missing, or has another shape than the others ask for.
        """
        missing = sorted({"count", *SUMS} - tensors.keys())
        if missing:
            raise ShapeError("moments that are not whole", expected=["count", *SUMS], found=missing)
        made = cls(len(tensors["x"]), len(tensors["y"]))
        for name in SUMS:
            own, given = getattr(made, name), tensors[name]
            if own.shape != given.shape:
                raise ShapeError(
                    f"moments: {name}", expected=list(own.shape), found=list(given.shape)
                )
            own.copy_(given)
        made.count = int(tensors["count"])
        return made

    def centred(self) -> tuple[Tensor, Tensor, Tensor]:
        """Covariances per row: (xx [p, p], xy [p, q], diagonal of yy [q])."""
        if self.count < 2:
            raise NumericalError("too few paired rows for a fit", expected=2, found=self.count)
        mean_x, mean_y = self.x / self.count, self.y / self.count
        xx = self.xx / self.count
        xx -= torch.outer(mean_x, mean_x)  # in place: of many columns it is hundreds of megabytes
        return (
            xx,
            self.xy / self.count - torch.outer(mean_x, mean_y),
            self.yy / self.count - mean_y**2,
        )
