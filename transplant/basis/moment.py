"""The second moment of rows, streamed in float64: K = E[y y'].

Not centred, unlike `activations.covariance`: C of an adapter inside the basis acts on y itself, and
E|dW x|^2 = |C|_F^2 holds for moments about zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from transplant.activations.gram import add_gram
from transplant.errors import NumericalError, ShapeError
from transplant.ranks import Ranks

BLOCK = 1024  # rows in float64 at a time: they stay in the processor's cache


def is_finite(values: Tensor) -> bool:
    """Whether none of them is NaN or infinite; nothing as large is made on the way."""
    return not values.numel() or all(bool(torch.isfinite(one)) for one in values.detach().aminmax())


class SecondMoment:
    """The sum of y y' over rows y, in float64; mergeable: two shards are one.

    Args:
        width: of a row.
        device: where the sum is kept and its products are taken.
    """

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        self.count = 0
        self.yy = torch.zeros(width, width, dtype=torch.float64, device=device)

    @property
    def width(self) -> int:
        """The width of a row."""
        return len(self.yy)

    def update(self, rows: Tensor) -> None:
        """Adds rows [rows, width].

        Raises:
            ShapeError: another width.
            NumericalError: a value that is not finite.
        """
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise ShapeError("rows", expected=f"[rows, {self.width}]", found=list(rows.shape))
        for block in rows.detach().split(BLOCK):
            if not is_finite(block):
                raise NumericalError("outputs are NaN or infinite")
            add_gram(self.yy, block.to(self.yy.device, torch.float64))
            self.count += len(block)

    def merge(self, other: SecondMoment) -> None:
        """Adds what another one has seen, as if all rows had come here.

        Raises:
            ShapeError: another width.
        """
        if self.width != other.width:
            raise ShapeError("moments of other widths", expected=self.width, found=other.width)
        self.count += other.count
        self.yy += other.yy.to(self.yy.device)

    def add_up(self, ranks: Ranks) -> None:
        """Adds what the other processes have seen; all have the same sum then."""
        self.count = int(ranks.total(self.count)[0])
        ranks.sum(self.yy)

    def mean(self) -> Tensor:
        """K [width, width].

        Raises:
            NumericalError: no rows.
        """
        if not self.count:
            raise NumericalError("no rows for a second moment", expected="1 or more", found=0)
        return self.yy / self.count

    def as_tensors(self) -> dict[str, Tensor]:
        """Everything it has seen, for a file; `from_tensors` reads it back."""
        return {"count": torch.tensor(self.count), "yy": self.yy.cpu()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> SecondMoment:
        """What `as_tensors` gave out."""
        made = cls(len(tensors["yy"]))
        made.yy.copy_(tensors["yy"])
        made.count = int(tensors["count"])
        return made
