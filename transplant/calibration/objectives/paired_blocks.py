"""The target's side of paired rows, joined and in random order, in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from transplant.backbones.states import States
from transplant.backbones.view import Backbone
from transplant.calibration.pairs import PairedText
from transplant.memory import check_memory

BLOCK = 512  # rows


class PairedBlocks:
    """Blocks of the rows that a target has read beside its donor.

    They are kept in the type that the target computes in, in which they lose nothing.

    Args:
        target: the frozen backbone.
        paired: the paired rows.
        seed: of their order.
        inside: whether those of the target's rows that end inside donor tokens are among them.

    Raises:
        MemoryLimitError: the rows do not fit into memory.
    """

    def __init__(
        self, target: Backbone, paired: PairedText, seed: int, *, inside: bool = False
    ) -> None:
        most = paired.rows + (paired.unpaired if inside else 0)
        layers = len({*paired.batches[0].target.taps, target.n_layers})
        check_memory(
            "learning from paired rows",
            {"paired rows": target.dtype.itemsize * most * layers * target.d_model},
            "fewer `excerpts` or `taps`",
        )
        batches = (rows.taught if inside else rows.target for rows in paired.batches)
        self._states = _joined(batches, most, target.dtype)
        self.target = target
        generator = torch.Generator().manual_seed(seed)
        self.order = torch.randperm(len(self._states), generator=generator)

    def __len__(self) -> int:
        """The number of blocks; a last one that is not full is dropped where there are others."""
        return max(1, len(self.order) // BLOCK)

    def rows(self, blocks: Sequence[int]) -> Tensor:
        """The numbers of the rows of some blocks, in the random order."""
        rows = torch.cat([torch.arange(n * BLOCK, (n + 1) * BLOCK) for n in blocks])
        return rows[rows < len(self.order)]

    def states(self, rows: Tensor) -> States:
        """What the target computed at these rows, where it is, in single precision at least."""
        some = self._states.select(self.order[rows])
        return some.to(self.target.device, torch.promote_types(self.target.dtype, torch.float32))


def _joined(batches: Iterable[States], most: int, dtype: torch.dtype) -> States:
    """The rows of all batches, `most` at most; each batch is written to its place as it comes."""
    kept: States | None = None
    count = 0
    for number, states in enumerate(batches):
        if kept is None:
            kept = _room_like(states, most, dtype)
        place = slice(count, count + len(states))
        kept.h_last[place] = states.h_last
        for tap, hidden in states.taps.items():
            if kept.taps[tap] is not kept.h_last:
                kept.taps[tap][place] = hidden
        kept.labels[place], kept.ends[place] = states.labels, states.ends
        kept.windows[place] = number
        count += len(states)
    assert kept is not None
    return kept.select(slice(count))


def _room_like(states: States, rows: int, dtype: torch.dtype) -> States:
    """Room for so many rows of the same layers."""
    h_last = torch.empty(rows, states.h_last.shape[1], dtype=dtype)
    return States(
        {
            tap: h_last
            if hidden is states.h_last
            else torch.empty(rows, hidden.shape[1], dtype=dtype)
            for tap, hidden in states.taps.items()
        },
        h_last,
        *torch.empty(3, rows, dtype=torch.long),
    )
