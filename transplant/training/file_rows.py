"""Rows of windows that were captured to a file: the backbone does not run."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import torch

from transplant.activations.file_states import read_states
from transplant.activations.reader import Activations
from transplant.backbones.states import States, concat_states
from transplant.backbones.view import Backbone
from transplant.text.spread import take_in_turns


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
        return read_states(self.acts, rows, self.taps, self.last).labelled()


def file_rows(
    backbone: Backbone,
    acts: Activations,
    windows: Sequence[int],
    taps: Iterable[int],
    max_tokens: int,
    *,
    seed: int | None = None,
) -> FileRows:
    """At most `max_tokens` rows of a file, as `spread_windows` chooses windows of one source.

    Raises:
        InputError: a layer that was not captured, or rows that are not single positions.
    """
    acts.check_holds({*taps, backbone.n_layers})
    windows = [*windows]
    if seed is not None:
        random.Random(seed).shuffle(windows)
    documents = [int(acts.document[window]) for window in windows]
    sizes = [len(acts.rows_of_window(window)) for window in windows]
    chosen = [windows[index] for index in take_in_turns(documents, sizes, max_tokens)]
    return FileRows(acts, chosen, tuple(taps), backbone.n_layers, backbone.device)
