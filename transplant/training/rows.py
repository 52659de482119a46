"""Where a training step gets its rows: through the backbone, or from memory.

The backbone is frozen, so its hidden states on a window never change. Where they fit into memory
they are computed once and every later pass skips the backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from transplant.activations.reader import Activations
from transplant.backbones.view import Backbone, States
from transplant.text.windows import Window, batches

CACHE_BYTES = 2 * 1024**3


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
    """Runs the backbone once over all windows and keeps the rows."""

    def __init__(self, backbone: Backbone, windows: Sequence[Window], taps: Sequence[int]) -> None:
        self._kept: dict[int, States] = {}
        for batch in batches(windows):
            states = backbone.read([windows[i] for i in batch], taps).labelled()
            for number, index in enumerate(batch):
                self._kept[index] = states.select(states.windows == number)

    def __len__(self) -> int:
        """The number of windows."""
        return len(self._kept)

    def rows(self, indices: Sequence[int]) -> States:
        """The labelled rows of these windows."""
        return concat_states([self._kept[index] for index in indices])


class FileRows:
    """Reads rows that were captured to a file; the backbone does not run.

    Args:
        acts: the open file; it holds the taps and the last hidden state.
        windows: the numbers, in the file, of the windows of this source.
        taps: the layers that are read.
        last: the layer that the head reads.
        device: where the rows go.
    """

    def __init__(
        self,
        acts: Activations,
        windows: Sequence[int],
        taps: Sequence[int],
        last: int,
        device: torch.device,
    ) -> None:
        self.acts, self.windows, self.device = acts, windows, device
        self.taps, self.last = tuple(taps), last

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.windows)

    def rows(self, indices: Sequence[int]) -> States:
        """The labelled rows of these windows, in single precision."""
        return concat_states([self._window(self.windows[i]) for i in indices]).to(self.device)

    def _window(self, number: int) -> States:
        rows = self.acts.rows_of_window(number)
        tokens = self.acts.tokens(rows.start, rows.stop)

        def read(tap: int) -> Tensor:
            return self.acts.tap(str(tap), rows.start, rows.stop).float()

        h_last = read(self.last)
        taps = {tap: h_last if tap == self.last else read(tap) for tap in self.taps}
        return States(taps, h_last, tokens.labels, tokens.ends, tokens.windows).labelled()


def row_source(
    backbone: Backbone,
    windows: Sequence[Window],
    taps: Sequence[int],
    *,
    cache_bytes: int = CACHE_BYTES,
) -> RowSource:
    """Keeps the rows in memory where they fit into `cache_bytes`, else runs the backbone."""
    rows = sum(map(len, windows))
    width = backbone.d_model * len({*taps, backbone.n_layers})
    fits = rows * width * backbone.unembedding.element_size() <= cache_bytes
    return (CachedRows if fits else LiveRows)(backbone, windows, taps)


def concat_states(parts: Sequence[States]) -> States:
    """Joins the rows of several windows; `windows` counts the parts."""
    h_last = torch.cat([part.h_last for part in parts])
    counts = torch.tensor([len(part) for part in parts], device=h_last.device)
    return States(
        taps={
            tap: h_last
            if hidden is parts[0].h_last
            else torch.cat([part.taps[tap] for part in parts])
            for tap, hidden in parts[0].taps.items()
        },
        h_last=h_last,
        labels=torch.cat([part.labels for part in parts]),
        ends=torch.cat([part.ends for part in parts]),
        windows=torch.arange(len(parts), device=h_last.device).repeat_interleave(
            counts, output_size=len(h_last)
        ),
    )
