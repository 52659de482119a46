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

    def __len__(self) -> int:
        return len(self.donor)

    def tensors(self) -> dict[str, Tensor]:
        """All of it under names, as processes exchange it; `from_tensors` takes it back."""
        named = {
            f"{side}.{name}": value
            for side, states in (("donor", self.donor), ("target", self.target))
            for name, value in states.tensors().items()
        }
        return {**named, "unpaired": torch.tensor(self.unpaired)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> PairedRows:
        """What `tensors` gave out."""
        donor, target = (
            States.from_tensors(
                {
                    name.removeprefix(f"{side}."): value
                    for name, value in tensors.items()
                    if name.startswith(f"{side}.")
                }
            )
            for side in ("donor", "target")
        )
        return cls(donor, target, int(tensors["unpaired"]))


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
