"""Paired rows: a batch in memory, and batches that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from transplant.backbones.states import States, concat_states


@dataclass(frozen=True)
class InsideRows:
    """Rows of the target that end inside a donor token."""

    target: States
    donor: States | None = None
    """The donor's row before each, where it was asked for."""
    read: Tensor | None = None
    """The bytes of the text between the two, -1 behind the last of them [rows, longest]."""

    def __len__(self) -> int:
        return len(self.target)

    def texts(self) -> list[bytes]:
        """The bytes that the target has read since the donor's row, of each."""
        assert self.read is not None
        return _as_texts(self.read)

    def mixed(self, seed: int) -> InsideRows:
        """The same with the donor's rows, and the bytes read since, in random order."""
        if self.donor is None or self.read is None:
            return self
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return InsideRows(self.target, self.donor.select(order), self.read[order])


@dataclass(frozen=True)
class LongerRows:
    """Rows of the donor inside tokens of the target that begin at a pair."""

    places: Tensor
    """The numbers of these pairs, ascending [places]."""
    donor: States
    """The donor's rows between such a pair and the end of the target's next token, in turn."""
    owners: Tensor
    """Of each of these rows, the place that it belongs to, from 0 [rows of `donor`]."""
    read: Tensor
    """The bytes between the pair and its last row, -1 behind the last of them [places, longest]."""

    def texts(self) -> list[bytes]:
        """These bytes of each place."""
        return _as_texts(self.read)


def _as_texts(read: Tensor) -> list[bytes]:
    return [bytes(byte for byte in row if byte >= 0) for row in read.tolist()]


def as_bytes(texts: Sequence[str]) -> Tensor:
    """Texts as `InsideRows.read` holds them, in UTF-8 [texts, longest]."""
    raw = [text.encode() for text in texts]
    longest = max(map(len, raw), default=0)
    rows = [[*one, *[-1] * (longest - len(one))] for one in raw]
    return torch.tensor(rows, dtype=torch.int16).reshape(len(raw), longest)


@dataclass(frozen=True)
class PairedRows:
    """Row i of the donor and row i of the target have read the same text."""

    donor: States
    target: States
    unpaired: int
    """Target rows that end inside a donor token, thinned out as the pairs are."""
    donor_order: Tensor | None = None
    """Where the donor's rows stood before they were shuffled [rows]; None: as they were read."""
    inside: InsideRows | None = None
    """Target rows that end inside a donor token, where they were asked for."""
    longer: LongerRows | None = None
    """Donor rows inside target tokens, where they were asked for."""

    def __len__(self) -> int:
        return len(self.donor)

    @property
    def taught(self) -> States:
        """The target's rows at which something is wanted: those that pair, then those inside."""
        if self.inside is None:
            return self.target
        return concat_states([self.target, self.inside.target])

    def tensors(self) -> dict[str, Tensor]:
        """All of it under names, as processes exchange it; `from_tensors` takes it back."""
        sides = {"donor": self.donor, "target": self.target}
        named = {"unpaired": torch.tensor(self.unpaired)}
        if self.inside is not None:
            sides["inside"] = self.inside.target
            if self.inside.donor is not None and self.inside.read is not None:
                sides["before"], named["read"] = self.inside.donor, self.inside.read
        if (longer := self.longer) is not None:
            sides["longer"] = longer.donor
            named |= {
                f"of_longer_{part}": getattr(longer, part) for part in ("places", "owners", "read")
            }
        for side, states in sides.items():
            named |= {f"{side}.{name}": value for name, value in states.tensors().items()}
        return named

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> PairedRows:
        """What `tensors` gave out."""
        parts: dict[str, dict[str, Tensor]] = {
            "donor": {}, "target": {}, "inside": {}, "before": {}, "longer": {},
        }  # fmt: skip
        for name, value in tensors.items():
            side, _, part = name.partition(".")
            if part:
                parts[side][part] = value
        donor, target, inside, before, along = (
            States.from_tensors(found) if found else None for found in parts.values()
        )
        assert donor is not None
        assert target is not None
        within = None if inside is None else InsideRows(inside, before, tensors.get("read"))
        longer = None
        if along is not None:
            places, owners, read = (tensors[f"of_longer_{n}"] for n in ("places", "owners", "read"))
            longer = LongerRows(places, along, owners, read)
        return cls(donor, target, int(tensors["unpaired"]), inside=within, longer=longer)


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
