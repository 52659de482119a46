"""Paired rows in two files of captured rows, read batch by batch."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from transplant.activations.capture import as_stored
from transplant.activations.file_states import read_states
from transplant.activations.layout import CaptureHeader, TokenTable
from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.backbones.states import States, concat_states
from transplant.backbones.view import Backbone
from transplant.calibration.paired_rows import (
    InsideRows,
    LazyBatch,
    LazyBatches,
    LongerRows,
    PairedRows,
)
from transplant.progress import Progress
from transplant.text.windows import Window

STORED = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


@dataclass(frozen=True)
class LongerPlaces:
    """Which pairs a token of the target begins at that is longer than the donor's; `LongerRows`."""

    places: Tensor
    rows: Tensor
    """Of the donor, inside that token, place by place."""
    owners: Tensor
    read: Tensor


@dataclass(frozen=True)
class PairedWindows:
    """Windows of both sides, and which of their rows pair; neither backbone has run yet."""

    donor: Sequence[Window]
    target: Sequence[Window]
    rows: tuple[Tensor, Tensor]
    """Of the donor and of the target, those that are kept."""
    unpaired: int
    inside: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """Of the target, those that end inside a donor token and are kept [rows]."""
    before: Tensor | None = None
    """Of the donor, the row before each of these, where it is kept [rows]."""
    read: Tensor | None = None
    """The bytes between the two, see `InsideRows`."""
    longer: LongerPlaces | None = None
    """Where tokens of the target are longer than the donor's, where that was asked for."""

    @property
    def donor_rows(self) -> Tensor:
        """All rows of the donor that are read: those that pair, before `inside`, in `longer`."""
        more = [] if self.before is None else [self.before]
        more += [] if self.longer is None else [self.longer.rows]
        return torch.cat([self.rows[0], *more]) if more else self.rows[0]

    @property
    def target_rows(self) -> Tensor:
        """All rows of the target that are read: those that pair, then those inside."""
        return torch.cat([self.rows[1], self.inside])

    def paired(self, donor: States, target: States) -> PairedRows:
        """The pairs, from `donor_rows` and from `target_rows`."""
        pairs, inside, longer = len(self), None, None
        end = pairs + (0 if self.before is None else len(self.before))
        if len(self.inside):
            before = None if self.before is None else donor.select(slice(pairs, end))
            inside = InsideRows(target.select(slice(pairs, None)), before, self.read)
        if (found := self.longer) is not None:
            rows = donor.select(slice(end, None))
            longer = LongerRows(found.places, rows, found.owners, found.read)
        if inside is not None or longer is not None:
            donor, target = (side.select(slice(pairs)) for side in (donor, target))
        return PairedRows(donor, target, self.unpaired, inside=inside, longer=longer)

    def __len__(self) -> int:
        return len(self.rows[0])


@dataclass(frozen=True)
class Side:
    """One side of the pairs: a backbone, and the layers that are read."""

    backbone: Backbone
    taps: tuple[int, ...]

    def read(self, windows: Sequence[Window], rows: Tensor) -> States:
        """Runs the backbone; fits are on the CPU, wherever it runs and in what it computes.

        On a processor each window runs by itself: nothing is padded, no mask is needed, what layers
        compute stays in the cache, and of the taps only the rows that are kept are held.

        Args:
            windows: of a batch.
            rows: which of their rows are kept, in this order.
        """
        if not self._runs_windows_alone:
            read = self.backbone.read(windows, self.taps).to("cpu").select(rows)
            return read.to("cpu", torch.float32)
        order = rows.argsort(stable=True)
        kept, parts, numbers, first = rows[order], [], [], 0
        for number, window in enumerate(windows):
            count = len(self.backbone.rows_of(window).ids)
            low, high = torch.searchsorted(kept, torch.tensor([first, first + count])).tolist()
            read = self.backbone.read([window], self.taps).select(kept[low:high] - first)
            parts.append(read.to("cpu", torch.float32))
            numbers.append(torch.full((high - low,), number))
            first += count
        joined = replace(concat_states(parts), windows=torch.cat(numbers))
        return joined.select(order.argsort())

    @property
    def _runs_windows_alone(self) -> bool:
        """On a processor that has all weights: layers that come from a disk come once a batch."""
        spread = getattr(self.backbone.model, "hf_device_map", None)
        return self.backbone.device.type == "cpu" and not spread

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are kept: the taps, and what the head reads."""
        return tuple(sorted({*self.taps, self.backbone.n_layers}))

    @property
    def row_bytes(self) -> int:
        """What one row takes in memory, in single precision."""
        return 4 * len(self.layers) * self.backbone.d_model


def store_pairs(
    folder: Path, donor: Side, target: Side, chunks: Sequence[PairedWindows],
    progress: Progress | None = None,
) -> LazyBatches:  # fmt: skip
    """Runs both backbones over all windows; their paired rows go to two files of captured rows.

    The files have no name once they are written, where the system allows that: they end with what
    reads them, however it ends.

    Args:
        folder: on a disk with room for the rows.
        donor: the donor's side.
        target: the target's.
        chunks: what pairs; each becomes a batch.
        progress: is told of the excerpts that were read, of one side and then of the other.

    Raises:
        StorageError: the disk has no room, or refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=".pairs-", dir=folder))
    read = 0

    def told(excerpts: int) -> None:
        nonlocal read
        read += excerpts
        if progress is not None:
            progress(read, 2 * sum(len(chunk.donor) for chunk in chunks), "excerpts, to files")

    try:
        sides = (
            _stored(place / "donor.h5", donor, [(c.donor, c.donor_rows) for c in chunks], told),
            _stored(place / "target.h5", target, [(c.target, c.target_rows) for c in chunks], told),
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)

    def batch(number: int) -> PairedRows:
        states = [
            read_states(acts, acts.rows_of_window(number), side.taps, side.backbone.n_layers)
            for acts, side in zip(sides, (donor, target), strict=True)
        ]
        return chunks[number].paired(*states)

    return LazyBatches(
        [
            LazyBatch(len(chunk), chunk.unpaired, lambda number=number: batch(number))
            for number, chunk in enumerate(chunks)
        ]
    )


def _stored(
    path: Path,
    side: Side,
    chunks: Sequence[tuple[Sequence[Window], Tensor]],
    told: Callable[[int], None],
) -> Activations:
    """The rows of one side in a file, open for reading."""
    backbone = side.backbone
    dtype = backbone.unembedding.dtype  # in which its states lose nothing
    dtype = dtype if dtype in STORED else torch.float32
    table = _table(backbone, chunks)
    header = CaptureHeader(
        backbone=backbone.name,
        family=backbone.family,
        backbone_sha256=backbone.weights_sha256,
        tokenizer_sha256=backbone.tokenizer_sha256,
        config_sha256=backbone.config_sha256,
        corpus="paired rows",
        corpus_fingerprint=hashlib.sha256("".join(table.digests).encode()).hexdigest(),
        window=backbone.context,
        pool="none",
        dtype=STORED[dtype],
        taps=tuple(map(str, side.layers)),
        widths=(backbone.d_model,) * len(side.layers),
        made={},
    )
    with ActivationWriter.create(path, header, table) as writer:
        row = 0
        for windows, rows in chunks:
            states = side.read(windows, rows)
            for layer in side.layers:
                held = states.h_last if layer == backbone.n_layers else states.taps[layer]
                writer.write(str(layer), row, as_stored(held.to(dtype).contiguous()))
            row += len(rows)
            told(len(windows))
        writer.commit(row)
    acts = Activations.open(path)
    weakref.finalize(acts, shutil.rmtree, path.parent, ignore_errors=True)  # where open files stay
    return acts


def _table(backbone: Backbone, chunks: Sequence[tuple[Sequence[Window], Tensor]]) -> TokenTable:
    """What every row will be; a chunk stands as one window, in a document of its own."""
    columns: dict[str, list[np.ndarray]] = {"ids": [], "labels": [], "ends": []}
    first, digests = [0], []
    for windows, rows in chunks:
        tokens = [backbone.rows_of(window) for window in windows]
        for name, parts in columns.items():
            values = [value for window in tokens for value in getattr(window, name)]
            parts.append(np.asarray(values, dtype=np.int32)[rows.numpy()])
        first.append(first[-1] + len(rows))
        digests.append(hashlib.sha256(columns["ids"][-1].tobytes()).hexdigest())
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return TokenTable(
        **joined,
        first_row=np.array(first, dtype=np.int64),
        document=np.arange(len(digests), dtype=np.int32),
        digests=tuple(digests),
    )
