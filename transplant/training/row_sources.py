"""Sources of the rows of a training step: the backbone, the memory, the disk.

The backbone is frozen, so its hidden states on a window never change. Where there is room for them
they are computed once and every later pass skips the backbone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from transplant.activations.staging import nameless
from transplant.backbones.states import NO_LABEL, States, concat_states
from transplant.backbones.view import Backbone
from transplant.files.room import free_bytes
from transplant.memory import available_bytes
from transplant.progress import Progress, part_of, unseen
from transplant.ranks import ALONE, Ranks
from transplant.text.windows import Window, batches

CACHE_BYTES = 2 * 1024**3
AT_ONCE = 4  # windows of a source


@runtime_checkable
class RowSource(Protocol):
    """Labelled rows of windows, by the index of the window."""

    def __len__(self) -> int:
        """The number of windows."""
        ...

    def rows(self, indices: Sequence[int]) -> States:
        """The labelled rows of these windows, one window after the other."""
        ...


class LiveRows:
    """Runs the backbone each time."""

    def __init__(self, backbone: Backbone, windows: Sequence[Window], taps: Sequence[int]) -> None:
        self.backbone, self.windows, self.taps = backbone, windows, tuple(taps)

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.windows)

    def rows(self, indices: Sequence[int]) -> States:
        """The labelled rows of these windows."""
        return self.backbone.read([self.windows[i] for i in indices], self.taps).labelled()


class CachedRows:
    """Runs the backbone once over all windows and keeps the rows in memory.

    Args:
        backbone: the frozen language model.
        windows: the windows to read.
        taps: the layers that are read.
        progress: called after each batch of windows.
    """

    def __init__(
        self, backbone: Backbone, windows: Sequence[Window], taps: Sequence[int],
        progress: Progress = unseen,
    ) -> None:  # fmt: skip
        self.device, last = backbone.device, backbone.n_layers
        counts = [_labelled_rows(backbone, window) for window in windows]
        self._first = [0, *accumulate(counts)]
        rows = self._first[-1]
        dtype = backbone.dtype
        room = {tap: self._room(rows, backbone.d_model, dtype) for tap in {*taps, last}}
        self._taps, self._h_last = {tap: room[tap] for tap in taps}, room[last]
        self._labels, self._ends = torch.empty(2, rows, dtype=torch.long, device=self.device)
        done = 0
        for batch in batches(windows):
            read = backbone.read([windows[i] for i in batch], taps).labelled()
            done += len(batch)
            progress(done, len(windows), "windows")
            for number, index in enumerate(batch):
                place = slice(self._first[index], self._first[index + 1])
                states = read.select(read.windows == number)
                for tap, kept in room.items():
                    kept[place] = states.h_last if tap == last else states.taps[tap]
                self._labels[place], self._ends[place] = states.labels, states.ends

    def __len__(self) -> int:
        """The number of windows."""
        return len(self._first) - 1

    def rows(self, indices: Sequence[int]) -> States:
        """The labelled rows of these windows."""
        return concat_states([self._window(index) for index in indices]).to(self.device)

    def _window(self, index: int) -> States:
        place = slice(self._first[index], self._first[index + 1])
        h_last = self._h_last[place]
        taps = {
            tap: h_last if kept is self._h_last else kept[place] for tap, kept in self._taps.items()
        }
        labels = self._labels[place]
        return States(taps, h_last, labels, self._ends[place], torch.zeros_like(labels))

    def _room(self, rows: int, width: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(rows, width, dtype=dtype, device=self.device)


class DiskRows(CachedRows):
    """Runs the backbone once and keeps the rows in files without a name, which end with it.

    Args:
        backbone: the frozen language model.
        windows: the windows to read.
        taps: the layers that are read.
        folder: on a disk with room for the rows.
        progress: called after each batch of windows.
    """

    def __init__(
        self, backbone: Backbone, windows: Sequence[Window], taps: Sequence[int], folder: Path,
        progress: Progress = unseen,
    ) -> None:  # fmt: skip
        self.folder = folder
        super().__init__(backbone, windows, taps, progress)

    def _room(self, rows: int, width: int, dtype: torch.dtype) -> Tensor:
        with nameless(self.folder, rows * width * dtype.itemsize) as path:
            kept = torch.from_file(str(path), shared=True, size=rows * width, dtype=dtype)
        return kept.view(rows, width)


def row_source(
    backbone: Backbone,
    windows: Sequence[Window],
    taps: Sequence[int],
    *,
    folder: Path | None = None,
    cache_bytes: int = CACHE_BYTES,
    progress: Progress = unseen,
) -> RowSource:
    """Keeps the rows where there is room for them, else runs the backbone each time.

    Args:
        backbone: the frozen language model.
        windows: the windows to read.
        taps: the layers that are read.
        folder: where rows may go that do not fit into memory; at most half of what is free there.
        cache_bytes: the memory that they may take; at most half of what is free.
        progress: called after each batch of windows whose rows are kept.
    """
    rows = sum(_labelled_rows(backbone, window) for window in windows)
    width = backbone.d_model * len({*taps, backbone.n_layers})
    needed = rows * width * backbone.dtype.itemsize
    free = _free_on(backbone.device)
    if needed <= (cache_bytes if free is None else min(cache_bytes, free // 2)):
        return CachedRows(backbone, windows, taps, progress)
    if folder is not None and 2 * needed <= free_bytes(folder / "rows"):
        return DiskRows(backbone, windows, taps, folder, progress)
    return LiveRows(backbone, windows, taps)


def _free_on(device: torch.device) -> int | None:
    """The free memory of where rows are kept, in bytes; None where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return available_bytes() if device.type == "cpu" else None


def row_sources(
    backbone: Backbone,
    texts: Sequence[Sequence[Window]],
    taps: Sequence[int],
    *,
    folder: Path | None = None,
    progress: Progress = unseen,
) -> list[RowSource]:
    """A `row_source` for each of several texts, whose windows are counted together.

    Args:
        backbone: the frozen language model.
        texts: the windows of each.
        taps: the layers that are read.
        folder: where rows may go that do not fit into memory.
        progress: called after each batch of windows whose rows are kept.
    """
    total, found = sum(map(len, texts)), []
    for number, windows in enumerate(texts):
        told = part_of(progress, sum(map(len, texts[:number])), len(windows), total)
        found.append(row_source(backbone, windows, taps, folder=folder, progress=told))
    return found


def _labelled_rows(backbone: Backbone, window: Window) -> int:
    return sum(label != NO_LABEL for label in backbone.rows_of(window).labels)


def states_of(
    backbone: Backbone,
    text: Sequence[Window] | RowSource,
    taps: Sequence[int],
    ranks: Ranks = ALONE,
) -> Iterator[States]:
    """The labelled rows of windows, which the backbone reads, or of a source, batch by batch.

    Args:
        backbone: the frozen language model.
        text: windows, or their rows.
        taps: the layers that are read.
        ranks: of several processes, each gets the windows that are its turn.
    """
    mine = ranks.turns(len(text))
    if isinstance(text, RowSource):
        for start in range(0, len(mine), AT_ONCE):
            yield text.rows(mine[start : start + AT_ONCE])
    else:
        windows = [text[index] for index in mine]
        for batch in batches(windows):
            yield backbone.read([windows[index] for index in batch], taps).labelled()
