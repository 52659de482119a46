"""The windows of one process among several, by the numbers that all of them use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transplant.backbones.states import States
from transplant.backbones.view import Backbone
from transplant.errors import CorpusError
from transplant.progress import Progress, unseen
from transplant.ranks import Ranks, current
from transplant.text.windows import Window
from transplant.training.row_sources import RowSource, row_sources


@dataclass(frozen=True)
class Share:
    """Rows of the windows that are this process's turn; alone, of all windows."""

    own: RowSource
    """Its windows, numbered among themselves."""
    ranks: Ranks
    windows: int
    """Of all processes."""

    def __len__(self) -> int:
        """The number of windows of all processes."""
        return self.windows

    def rows(self, windows: Sequence[int]) -> States | None:
        """The labelled rows of those of some windows that are this process's; None without any.

        Args:
            windows: by the numbers that all processes use.
        """
        number, count = self.ranks.number, self.ranks.count
        mine = [window // count for window in windows if window % count == number]
        return self.own.rows(mine) if mine else None


Text = Sequence[Window] | RowSource | Share
"""Windows, which the backbone has to read, their rows, or this process's share of these."""


def shares_of(
    backbone: Backbone,
    texts: Sequence[Text],
    taps: Sequence[int],
    *,
    folder: Path | None = None,
    progress: Progress = unseen,
) -> list[Share]:
    """This process's share of each of some texts; where there is room, the backbone reads it now.

    Args:
        backbone: the frozen language model.
        texts: to be read, or read before.
        taps: the layers that are read.
        folder: where rows may go that do not fit into memory.
        progress: called after each batch of windows that the backbone has read.

    Raises:
        CorpusError: there are fewer windows than processes.
    """
    ranks = current()
    for text in texts:
        if len(text) < ranks.count:
            raise CorpusError(
                "more processes than windows of text", expected=f"at most {len(text)} processes",
                found=ranks.count,
            )  # fmt: skip
    unread = [
        [text[window] for window in ranks.turns(len(text))]
        for text in texts
        if not isinstance(text, Share)
        if not isinstance(text, RowSource)
    ]
    read = iter(row_sources(backbone, unread, taps, folder=folder, progress=progress))
    return [
        text if isinstance(text, Share) else Share(_own(text, ranks, read), ranks, len(text))
        for text in texts
    ]


def _own(text: Sequence[Window] | RowSource, ranks: Ranks, read: Iterator[RowSource]) -> RowSource:
    """The rows of this process's windows."""
    if not isinstance(text, RowSource):
        return next(read)
    return text if ranks.count == 1 else _Picked(text, ranks.turns(len(text)))


@dataclass(frozen=True)
class _Picked:
    """Some windows of a source."""

    source: RowSource
    windows: Sequence[int]

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.windows)

    def rows(self, indices: Sequence[int]) -> States:
        """The labelled rows of these windows."""
        return self.source.rows([self.windows[index] for index in indices])
