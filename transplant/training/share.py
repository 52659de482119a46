"""The windows of one process among several, by the numbers that all of them use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transplant.backbones.view import Backbone, States
from transplant.errors import CorpusError
from transplant.ranks import Ranks
from transplant.text.windows import Window
from transplant.training.row_sources import RowSource, row_source


@dataclass(frozen=True)
class Share:
    """Rows of the windows that are this process's turn; alone, of all windows."""

    own: RowSource
    """Its windows, numbered among themselves."""
    ranks: Ranks

    def rows(self, windows: Sequence[int]) -> States | None:
        """The labelled rows of those of some windows that are this process's; None without any.

        Args:
            windows: by the numbers that all processes use.
        """
        number, count = self.ranks.number, self.ranks.count
        mine = [window // count for window in windows if window % count == number]
        return self.own.rows(mine) if mine else None


def share_of(
    backbone: Backbone,
    text: Sequence[Window] | RowSource,
    taps: Sequence[int],
    ranks: Ranks,
    folder: Path | None = None,
) -> Share:
    """This process's share of some text.

    Args:
        backbone: the frozen language model.
        text: windows, which it reads, or their rows.
        taps: the layers that are read.
        ranks: which process this is, of how many.
        folder: where rows may go that do not fit into memory.

    Raises:
        CorpusError: there are fewer windows than processes.
    """
    mine = ranks.turns(len(text))
    if not mine:
        raise CorpusError(
            "more processes than windows of text", expected=f"at most {len(text)} processes",
            found=ranks.count,
        )  # fmt: skip
    if not isinstance(text, RowSource):
        own = row_source(backbone, [text[window] for window in mine], taps, folder=folder)
        return Share(own, ranks)
    return Share(text if ranks.count == 1 else _Picked(text, mine), ranks)


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
