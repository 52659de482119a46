"""Means and standard deviations of the values at places, without padding.

The first position has moments of its own: it attends to itself alone and collects the attention of
all others (Xiao et al., arXiv:2309.17453), so that its values are often hundreds of times as large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from transplant.tracing.batch import Batch
from transplant.tracing.places import Change, Places
from transplant.tracing.targets import Target

Place = tuple[str, int]  # kind and block


class Moments:
    """Streamed sums of the values at some places, at the first position and at all others.

    Args:
        places: of the model.
        targets: at whose places values are summed up.
    """

    def __init__(self, places: Places, targets: Iterable[Target]) -> None:
        self._places = places
        self._sums: dict[Place, Tensor] = {}
        for kind, layer in sorted({(target.kind, target.layer) for target in targets}):
            # [first or other, sum or sum of squares, width]
            width = places.width(kind, layer)
            self._sums[kind, layer] = torch.zeros(2, 2, width, dtype=torch.float64)
        self._counts = torch.zeros(2, dtype=torch.float64)

    @contextmanager
    def watching(self, batch: Batch) -> Iterator[None]:
        """Takes in the values of a batch that is read once inside."""
        with ExitStack() as stack:
            for kind, layer in self._sums:
                stack.enter_context(
                    self._places.changed(kind, layer, self._add(kind, layer, batch))
                )
            yield
        self._counts += torch.tensor([len(batch.windows), int(batch.real[:, 1:].sum())])

    def _add(self, kind: str, layer: int, batch: Batch) -> Change:
        def add(value: Tensor) -> Tensor | None:
            real = batch.real.to(value.device)[..., None]
            wide = value.double().reshape(*batch.real.shape, -1) * real
            for row, part in enumerate((wide[:, :1], wide[:, 1:])):
                self._sums[kind, layer][row, 0] += part.sum((0, 1)).cpu()
                self._sums[kind, layer][row, 1] += part.square().sum((0, 1)).cpu()
            return None

        return add

    def mean(self, target: Target) -> Tensor:
        """Of the target's place, [first or other, width]."""
        return self._sums[target.kind, target.layer][:, 0] / self._counts[:, None].clamp_min(1)

    def std(self, target: Target) -> Tensor:
        """The standard deviation in each dimension, [first or other, width]."""
        squares = self._sums[target.kind, target.layer][:, 1] / self._counts[:, None].clamp_min(1)
        return (squares - self.mean(target).square()).clamp_min(0).sqrt()


def by_position(rows: Tensor, value: Tensor) -> Tensor:
    """Rows [first or other, width] at each position of a value [batch, seq, width]."""
    rows = rows.to(value)
    seq = value.shape[1]
    return torch.cat([rows[:1], rows[1:].expand(seq - 1, -1)])[None].expand_as(value)
