"""Logits that are computed for the rows that are asked for, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

BYTES = 1 << 26  # of the logits of a block of rows


class LogitRows:
    """Logits [rows, vocab] that hidden states stand for; slicing rows computes nothing.

    Args:
        hidden: last hidden states [rows, d_model], corrected.
        head: from some of them to logits.
        vocab: the number of logits of a row.
    """

    def __init__(self, hidden: Tensor, head: Callable[[Tensor], Tensor], vocab: int) -> None:
        self.hidden, self._head, self._vocab = hidden, head, vocab

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, vocab)."""
        return len(self.hidden), self._vocab

    def __len__(self) -> int:
        return len(self.hidden)

    def __getitem__(self, rows: slice) -> LogitRows:
        return LogitRows(self.hidden[rows], self._head, self._vocab)

    def on(self, hidden: Tensor) -> LogitRows:
        """What the same head makes of other hidden states [rows, d_model]."""
        return LogitRows(hidden, self._head, self._vocab)

    @torch.no_grad()
    def dense(self) -> Tensor:
        """All of them [rows, vocab], as the head gives them."""
        return self._head(self.hidden)


Logits = Tensor | LogitRows


def dense(logits: Logits) -> Tensor:
    """The logits [rows, vocab] as a tensor without a graph."""
    return logits.dense() if isinstance(logits, LogitRows) else logits.detach()


def row_blocks(rows: int, vocab: int, most: int) -> Iterator[slice]:
    """Blocks of at most `most` rows, and of no more than `BYTES` of logits in single precision."""
    size = max(1, min(most, BYTES // (4 * vocab)))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
