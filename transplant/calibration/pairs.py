"""Paired rows: two backbones, the same text, the same character."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.calibration.config import CONTINUED, LEFT_OUT
from transplant.calibration.paired_rows import LazyBatch, LazyBatches, PairedRows, as_bytes
from transplant.calibration.stored_pairs import LongerPlaces, PairedWindows, Side, store_pairs
from transplant.calibration.windows_together import paired_windows, texts_between, window_ends
from transplant.errors import CorpusError
from transplant.memory import available_bytes, check_memory
from transplant.progress import Progress
from transplant.ranks import current
from transplant.text.documents import Document
from transplant.text.offsets import match_positions, rows_before, rows_inside, thinned, unmatched
from transplant.text.windows import Window

IN_MEMORY = 2 * 1024**3
"""Bytes of paired rows; where they take more, they go to files."""


@dataclass(frozen=True)
class PairedText:
    """All paired rows of some excerpts, batch by batch, in memory or to be read."""

    batches: Sequence[PairedRows]
    windows: Sequence[PairedWindows] = ()
    """The windows that the rows of each batch are of; none where rows were read from files."""

    @cached_property
    def rows(self) -> int:
        """The number of pairs."""
        return sum(map(len, self._unread))

    @property
    def paired_share(self) -> float:
        """The share of the target's rows that found a partner."""
        return self.rows / max(1, self.rows + self.unpaired)

    @property
    def unpaired(self) -> int:
        """The number of the target's rows that found none."""
        return sum(batch.unpaired for batch in self._unread)

    @property
    def _unread(self) -> Sequence[PairedRows | LazyBatch]:
        return self.batches.batches if isinstance(self.batches, LazyBatches) else self.batches

    def also(self, other: PairedText) -> PairedText:
        """These rows and then the other's; what is not in memory stays where it is."""
        both = (*self._unread, *other._unread)
        windows = (*self.windows, *other.windows) if self.windows and other.windows else ()
        if all(isinstance(batch, PairedRows) for batch in both):
            return PairedText((*self.batches, *other.batches), windows)
        return PairedText(LazyBatches([*map(_lazy, both)]), windows)

    def shuffled(self, seed: int) -> PairedText:
        """The same rows with the donor's in random order: a control that must carry nothing."""
        generator = torch.Generator().manual_seed(seed)
        orders = [torch.randperm(len(batch), generator=generator) for batch in self._unread]
        mixed = [
            LazyBatch(
                len(batch),
                batch.unpaired,
                lambda batch=batch, order=order: _mix(batch, order, seed),
            )
            for batch, order in zip(self._unread, orders, strict=True)
        ]
        if isinstance(self.batches, LazyBatches):
            return PairedText(LazyBatches(mixed), self.windows)
        return PairedText(tuple(batch.read() for batch in mixed), self.windows)


def _mix(batch: PairedRows | LazyBatch, order: Tensor, seed: int) -> PairedRows:
    rows = batch.read() if isinstance(batch, LazyBatch) else batch
    mixed, inside = rows.donor.select(order), rows.inside
    inside = None if inside is None else inside.mixed(seed)
    # The donor's rows inside a token of the target belong to no other pair: they are left out.
    return dataclasses.replace(rows, donor=mixed, donor_order=order, inside=inside, longer=None)


def _lazy(batch: PairedRows | LazyBatch) -> LazyBatch:
    if isinstance(batch, LazyBatch):
        return batch
    return LazyBatch(len(batch), batch.unpaired, lambda: batch)


def pair_text(
    donor: Backbone,
    target: Backbone,
    excerpts: Sequence[Document],
    donor_taps: Iterable[int],
    target_taps: Iterable[int],
    *,
    stride: int = 1,
    inside: str = LEFT_OUT,
    longer: bool = False,
    folder: Path | None = None,
    in_memory: int = IN_MEMORY,
    progress: Progress | None = None,
) -> PairedText:
    """Runs the excerpts through both backbones and pairs their rows by character offset.

    Of the pairs every `stride`-th is kept. Of several processes each reads its share of what stays
    in memory; all have all pairs, and where one has no room for them, all keep them in files.

    Args:
        donor: one backbone.
        target: the other.
        excerpts: what both read.
        donor_taps: the layers that are kept of the donor.
        target_taps: those of the target.
        stride: 1 keeps every pair.
        inside: what is wanted of the target's rows that end inside a donor token, see `MoveConfig`;
            they are kept unless they are left out, the donor's before them where it is `continued`.
        longer: whether the donor's rows are kept that lie inside the target's token behind a pair.
        folder: where rows go that take more than `in_memory` bytes, or than half of what is free;
            None: they stay in memory.
        in_memory: bytes.
        progress: is told of the excerpts that were read.

    Raises:
        CorpusError: not one position pairs.
        StorageError: the disk of `folder` has no room for the rows.
        MemoryLimitError: memory has none.
    """
    sides = Side(donor, tuple(donor_taps)), Side(target, tuple(target_taps))
    chunks = [
        _paired_rows(donor, target, excerpts, *windows, stride, inside, longer=longer)
        for windows in paired_windows(donor, target, excerpts)
    ]
    rows = sum(map(len, chunks))
    if rows == 0:
        raise CorpusError(
            f"{donor.name} and {target.name} pair at no position of the text",
            expected="tokens that end at the same characters",
        )
    needed = sides[0].row_bytes * sum(len(chunk.donor_rows) for chunk in chunks)
    needed += sides[1].row_bytes * sum(len(chunk.target_rows) for chunk in chunks)
    free = available_bytes()
    room = in_memory if free is None else min(in_memory, free // 2)
    ranks = current()
    if folder is not None and ranks.largest(int(needed > room)):
        return PairedText(store_pairs(folder, *sides, chunks, progress), chunks)
    check_memory(
        f"pairing {donor.name} with {target.name}", {"paired rows": needed},
        "fewer `taps` or `excerpts`",
    )  # fmt: skip
    read, turns = 0, ranks.turns(len(chunks))
    total = sum(len(chunks[number].donor) for number in turns)
    mine: dict[int, PairedRows] = {}
    for number in turns:
        chunk = chunks[number]
        ours = sides[0].read(chunk.donor, chunk.donor_rows)
        mine[number] = chunk.paired(ours, sides[1].read(chunk.target, chunk.target_rows))
        read += len(chunk.donor)
        if progress is not None:
            progress(read, total, "excerpts")
    if ranks.count == 1:
        return PairedText(tuple(mine.values()), chunks)
    found = ranks.collect(len(chunks), {number: rows.tensors() for number, rows in mine.items()})
    return PairedText(tuple(map(PairedRows.from_tensors, found)), chunks)


def _paired_rows(
    donor: Backbone,
    target: Backbone,
    excerpts: Sequence[Document],
    left: list[Window],
    right: list[Window],
    stride: int,
    inside: str,
    *,
    longer: bool,
) -> PairedWindows:
    sides = window_ends(donor, left), window_ends(target, right)
    ours, theirs = match_positions(*sides[0], *sides[1])
    count = len(sides[1][0])
    unpaired = thinned(count - len(theirs), stride)
    kept = ours[::stride], theirs[::stride]
    along = _longer_places(excerpts, right, *sides, *kept) if longer else None
    if inside == LEFT_OUT:
        return PairedWindows(left, right, kept, unpaired, longer=along)
    rows = unmatched(theirs, count)
    if inside != CONTINUED:
        return PairedWindows(left, right, kept, unpaired, rows[::stride], longer=along)
    rows, before = (found[::stride] for found in rows_before(*sides[0], *sides[1], rows))
    (ends_a, _), (ends_b, numbers) = sides
    read = texts_between(excerpts, right, numbers[rows], ends_a[before], ends_b[rows])
    return PairedWindows(left, right, kept, unpaired, rows, before, as_bytes(read), along)


def _longer_places(
    excerpts: Sequence[Document], windows: Sequence[Window], donor: tuple[Tensor, Tensor],
    target: tuple[Tensor, Tensor], ours: Tensor, theirs: Tensor,
) -> LongerPlaces | None:  # fmt: skip
    """The pairs whose next token of the target holds rows of the donor; None where none does."""
    places, rows, owners = rows_inside(donor, target, ours, theirs)
    if not len(places):
        return None
    last = torch.searchsorted(owners, torch.arange(len(places)), right=True) - 1
    starts, ends = target[0][theirs[places]], donor[0][rows[last]]
    read = texts_between(excerpts, windows, target[1][theirs[places]], starts, ends)
    return LongerPlaces(places, rows, owners, as_bytes(read))
