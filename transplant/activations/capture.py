"""Capture: a frozen backbone reads windows, its hidden states go to disk while it reads on.

Windows are read in shards: inside a shard in batches of like length, so that little is padding;
between shards the file's count of complete rows moves on. A row's place in the file is known before
anything runs, so the batches of a shard may come in any order.
"""

from __future__ import annotations

import queue
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from transplant.activations.finite import all_finite
from transplant.activations.layout import TokenTable
from transplant.activations.writer import ActivationWriter
from transplant.backbones.parts import (
    block_count,
    deepest_layer,
    ending_at,
    real_rows,
    watched,
)
from transplant.backbones.states import NO_LABEL
from transplant.backbones.view import Backbone
from transplant.progress import Progress
from transplant.text.documents import Document
from transplant.text.windows import Window, batches

SHARD_ROWS = 16_384  # between two commits
WAITING = 4  # batches that the writer may be behind: bounds the memory
Room = dict[str, Tensor]  # by tap, for the rows of one batch
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Taps:
    """What is captured: layers, and named parts of blocks, in the order of the file."""

    names: tuple[str, ...]

    @property
    def layers(self) -> tuple[int, ...]:
        """The taps that are layers."""
        return tuple(int(name) for name in self.names if name.isdecimal())

    @property
    def parts(self) -> tuple[str, ...]:
        """The taps that are parts of a block."""
        return tuple(name for name in self.names if not name.isdecimal())


def token_table(
    backbone: Backbone, documents: Sequence[Document], windows: Sequence[Window], pool: str
) -> TokenTable:
    """What every row of the file will be, known before the backbone runs.

    Args:
        backbone: says which rows a window has.
        documents: the text, in the order that the windows number it by.
        windows: of all documents.
        pool: `none`, or one row for each window: `mean` or `last`.
    """
    kept = slice(None) if pool == "none" else slice(-1, None)
    # Window by window, in 32 bits: lists of all rows would be the largest thing in the process.
    ids, labels, ends = array("i"), array("i"), array("i")
    first_row = [0]
    for window in windows:
        row = backbone.rows_of(window)
        ids.extend(row.ids[kept])
        labels.extend(row.labels if pool == "none" else [NO_LABEL])
        ends.extend(row.ends[kept])
        first_row.append(len(ids))
    return TokenTable(
        ids=np.asarray(ids),
        labels=np.asarray(labels),
        ends=np.asarray(ends),
        first_row=np.array(first_row, dtype=np.int64),
        document=np.array([window.document for window in windows], dtype=np.int32),
        digests=tuple(document.digest for document in documents),
    )


def capture(
    backbone: Backbone,
    windows: Sequence[Window],
    tokens: TokenTable,
    taps: Taps,
    writer: ActivationWriter,
    *,
    dtype: str,
    pool: str,
    progress: Progress | None = None,
) -> None:
    """Runs the backbone over the windows that the file does not hold yet.

    Args:
        backbone: the frozen language model.
        windows: all of them; those that are complete in the file are passed over.
        tokens: the rows of the file.
        taps: what is written.
        writer: the open file.
        dtype: `fp32`, `fp16` or `bf16`.
        pool: as for `token_table`.
        progress: called after each batch.

    Raises:
        NumericalError: a state that is NaN or infinite, or that the stored type cannot hold; the
            shards before it are complete.
        StorageError: the disk refused.
    """
    done = writer.committed
    with _writing(writer, DTYPES[dtype]) as put:
        for shard in _shards(tokens, writer.committed):
            for batch in batches([windows[n] for n in shard]):
                numbers = [shard[n] for n in batch]
                read = read_taps(backbone, [windows[n] for n in numbers], taps, pool)
                places = [(int(tokens.first_row[n]), int(tokens.first_row[n + 1])) for n in numbers]
                put(read, places)
                done += sum(last - first for first, last in places)
                if progress is not None:
                    progress(done, tokens.rows, "rows")
            put.commit(int(tokens.first_row[shard[-1] + 1]))


@torch.no_grad()
def read_taps(
    backbone: Backbone, windows: Sequence[Window], taps: Taps, pool: str = "none"
) -> dict[str, Tensor]:
    """The rows [rows, d_model] of each tap, window after window; one row each where pooled."""
    counts = [len(backbone.rows_of(window).labels) for window in windows]
    rows: dict[str, Tensor] = {}
    last = deepest_layer(taps.layers, taps.parts)
    with watched(backbone, taps.parts) as seen:
        if last < block_count(backbone):  # what lies behind is not computed
            with ending_at(backbone, taps.layers, last) as entered:
                backbone.read(windows)
            seen |= entered
        else:
            states = backbone.read(windows, taps.layers)
            rows = {str(layer): states.taps[layer] for layer in taps.layers}
    rows |= {name: real_rows(hidden, counts, backbone.skipped) for name, hidden in seen.items()}
    return {name: _pooled(rows[name], counts, pool) for name in taps.names}


def as_stored(rows: Tensor) -> np.ndarray:
    """The same memory, as the file holds it: bfloat16 as its bits."""
    return (rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows).numpy()


def _pooled(rows: Tensor, counts: Sequence[int], pool: str) -> Tensor:
    if pool == "none":
        return rows
    parts = rows.split(list(counts))
    return torch.stack([part.mean(0) if pool == "mean" else part[-1] for part in parts])


def _shards(tokens: TokenTable, done: int) -> Iterator[list[int]]:
    """The windows of each shard; where shards end depends on the windows alone."""
    shard: list[int] = []
    begin = 0
    for number, (_, last) in enumerate(pairwise(tokens.first_row.tolist())):
        shard.append(number)
        if last - begin >= SHARD_ROWS or last == tokens.rows:
            if last > done:
                yield shard
            shard, begin = [], last


class _Queue:
    """Hands batches and commits to the writing thread, in order.

    A batch waits as the backbone gave it, or, where another type is stored, in one of a few rooms
    that are used again and again. No more of them wait than there are rooms.
    """

    def __init__(self, writer: ActivationWriter, dtype: torch.dtype) -> None:
        self.writer, self.dtype = writer, dtype
        self.waiting: queue.SimpleQueue[tuple[Callable[[], None], Room | None] | None] = (
            queue.SimpleQueue()
        )
        self.rooms: queue.SimpleQueue[Room] = queue.SimpleQueue()
        for _ in range(WAITING):
            self.rooms.put({})
        self.failure: BaseException | None = None

    def __call__(self, rows: dict[str, Tensor], places: Sequence[tuple[int, int]]) -> None:
        """Writes the rows of a batch: those of its first window to the first place, and so on."""
        room = self.rooms.get()
        held = {name: as_stored(self._converted(room, name, rows[name])) for name in rows}
        for name, states in rows.items():
            if states.dtype != self.dtype:  # what was given is known here alone
                self._check_conversion(name, held[name], states, places)

        def write() -> None:
            for name, values in held.items():
                taken = 0
                for first, last in places:
                    self.writer.write(name, first, values[taken : taken + last - first])
                    taken += last - first

        self._put(write, room)

    def commit(self, rows: int) -> None:
        """Declares the rows before this one complete."""
        self._put(lambda: self.writer.commit(rows), None)

    def run(self) -> None:
        """The thread: works until None comes, and after a failure only empties the queue."""
        while (item := self.waiting.get()) is not None:
            work, room = item
            if self.failure is None:
                try:
                    work()
                except BaseException as error:  # raised where the batches come from
                    self.failure = error
            if room is not None:
                self.rooms.put(room)

    def _converted(self, room: Room, name: str, states: Tensor) -> Tensor:
        """The same rows on the CPU in the type that is stored; a room grows where it must."""
        if states.dtype == self.dtype and states.device.type == "cpu":
            return states.contiguous()
        if name not in room or len(room[name]) < len(states):
            room[name] = torch.empty(states.shape, dtype=self.dtype)
        return room[name][: len(states)].copy_(states)

    def _check_conversion(
        self, name: str, held: np.ndarray, states: Tensor, places: Sequence[tuple[int, int]]
    ) -> None:
        if all_finite(held, self.writer.dtype):
            return
        taken = 0
        for first, last in places:
            rows = slice(taken, taken + last - first)
            given = states[rows].float().cpu().numpy()
            self.writer.check_finite(name, first, held[rows], given)
            taken = rows.stop

    def _put(self, work: Callable[[], None], room: Room | None) -> None:
        if self.failure is not None:
            raise self.failure
        self.waiting.put((work, room))


@contextmanager
def _writing(writer: ActivationWriter, dtype: torch.dtype) -> Iterator[_Queue]:
    """Runs the writing thread inside the block; its failure is raised at the end at the latest."""
    work = _Queue(writer, dtype)
    thread = threading.Thread(target=work.run, name="activations", daemon=True)
    thread.start()
    try:
        yield work
    finally:
        work.waiting.put(None)
        thread.join()
    if work.failure is not None:
        raise work.failure
