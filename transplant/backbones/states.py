"""Rows of hidden states: what a backbone computed at each token position of some windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NO_LABEL = -100


@dataclass(frozen=True)
class States:
    """What a backbone computed on a batch of windows; a row is one token position, never padding.

    `ends[r]` is the character of the document up to which row `r` has read; `labels[r]` is the
    token that comes next, `NO_LABEL` at the end of a window.
    """

    taps: dict[int, Tensor]  # tap -> [rows, d_model]
    h_last: Tensor  # [rows, d_model], as the head reads it
    labels: Tensor  # [rows]
    ends: Tensor  # [rows]
    windows: Tensor  # [rows]: the index of the window in the batch

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, rows: Tensor | slice) -> States:
        """The same for some rows, given as a mask, as indices or, without a copy, as a slice."""
        h_last = self.h_last[rows]
        return States(
            # The last tap is h_last itself: it is selected, and kept, once.
            {t: h_last if h is self.h_last else h[rows] for t, h in self.taps.items()},
            h_last,
            self.labels[rows],
            self.ends[rows],
            self.windows[rows],
        )

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> States:
        """The same rows on another device, hidden states also in another type."""
        h_last = self.h_last.to(device, dtype)
        return States(
            {t: h_last if h is self.h_last else h.to(device, dtype) for t, h in self.taps.items()},
            h_last,
            self.labels.to(device),
            self.ends.to(device),
            self.windows.to(device),
        )

    def tensors(self) -> dict[str, Tensor]:
        """All of it under names; `from_tensors` takes it back."""
        rows = {"h_last": self.h_last, "labels": self.labels}
        rows |= {"ends": self.ends, "windows": self.windows}
        # The last tap is h_last itself: an empty tensor stands for it.
        nothing = self.h_last[:0]
        taps = {f"{t}": nothing if h is self.h_last else h for t, h in self.taps.items()}
        return rows | {f"tap.{tap}": hidden for tap, hidden in taps.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> States:
        """What `tensors` gave out."""
        h_last = tensors["h_last"]
        taps = {
            int(name.removeprefix("tap.")): hidden if len(hidden) else h_last
            for name, hidden in tensors.items()
            if name.startswith("tap.")
        }
        return cls(taps, h_last, tensors["labels"], tensors["ends"], tensors["windows"])

    def labelled(self) -> States:
        """The rows that have a next token to predict."""
        has = self.labels != NO_LABEL
        count = int(has.sum())
        # Of one window only the last row has none: what is before it need not be copied.
        return self.select(slice(count) if has[:count].all() else has)


@dataclass(frozen=True)
class RowTokens:
    """The rows of one window: what was read last, what comes next, and where in the document."""

    ids: Sequence[int]
    labels: Sequence[int]
    ends: Sequence[int]


def gather_rows(
    hidden: dict[int, Tensor], h_last: Tensor, mask: Tensor, rows: Sequence[RowTokens]
) -> States:
    """Drops the padding of a batch: [batch, seq, d_model] and a mask [batch, seq] to rows."""
    keep = None if bool(mask.all()) else mask.bool()

    def rows_in(states: Tensor) -> Tensor:
        return states.flatten(0, 1) if keep is None else states[keep]  # without padding, no copy

    last_rows = rows_in(h_last)
    counts = torch.tensor([len(row.labels) for row in rows])
    windows = torch.repeat_interleave(torch.arange(len(rows)), counts)
    return States(
        taps={t: last_rows if h is h_last else rows_in(h) for t, h in hidden.items()},
        h_last=last_rows,
        labels=torch.tensor([n for row in rows for n in row.labels], device=h_last.device),
        ends=torch.tensor([n for row in rows for n in row.ends], device=h_last.device),
        windows=windows.to(h_last.device),
    )


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
