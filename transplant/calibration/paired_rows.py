"""Paired rows: a batch in memory, and batches that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from transplant.backbones.states import States


@dataclass(frozen=True)
class PairedRows:
    """Row i of the donor and row i of the target have read the same text."""

    donor: States
    target: States
    unpaired: int
    """Target rows that end inside a donor token, thinned out as the pairs are."""
    donor_order: Tensor | None = None
    """Where the donor's rows stood before they were shuffled [rows]; None: as they were read."""
    inside: States | None = None
    """Target rows that end inside a donor token, where they were asked for."""

    def __len__(self) -> int:
        return len(self.donor)

    def tensors(self) -> dict[str, Tensor]:
        """All of it under names, as processes exchange it; `from_tensors` takes it back."""
        sides = {"donor": self.donor, "target": self.target}
        if self.inside is not None:
            sides["inside"] = self.inside
        named = {
            f"{side}.{name}": value
            for side, states in sides.items()
            for name, value in states.tensors().items()
        }
        return {**named, "unpaired": torch.tensor(self.unpaired)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> PairedRows:
        """What `tensors` gave out."""
        parts: dict[str, dict[str, Tensor]] = {"donor": {}, "target": {}, "inside": {}}
        for name, value in tensors.items():
            side, _, part = name.partition(".")
            if part:
                parts[side][part] = value
        donor, target, inside = (
            States.from_tensors(found) if found else None for found in parts.values()
        )
        assert donor is not None
        assert target is not None
        return cls(donor, target, int(tensors["unpaired"]), inside=inside)


@dataclass(frozen=True)
class LazyBatch:
    """Paired rows that are read when they are asked for, and not kept."""

    rows: int
    unpaired: int
    read: Callable[[], PairedRows]

    def __len__(self) -> int:
        return self.rows


class LazyBatches(Sequence[PairedRows]):
    """Batches that are read one at a time."""

    def __init__(self, batches: Sequence[LazyBatch]) -> None:
        self.batches = tuple(batches)

    def __len__(self) -> int:
        """The number of batches."""
        return len(self.batches)

    @overload
    def __getitem__(self, number: int) -> PairedRows: ...
    @overload
    def __getitem__(self, number: slice) -> LazyBatches: ...
    def __getitem__(self, number: int | slice) -> PairedRows | LazyBatches:
        """One batch, read now; or some, still to be read."""
        if isinstance(number, slice):
            return LazyBatches(self.batches[number])
        return self.batches[number].read()
