"""The target's side of paired rows, joined and in random order, in blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from transplant.backbones.states import States, concat_states
from transplant.backbones.view import Backbone
from transplant.calibration.pairs import PairedText
from transplant.memory import check_memory

BLOCK = 512  # rows


class PairedBlocks:
    """Blocks of the rows that a target has read beside its donor.

    Args:
        target: the frozen backbone.
        paired: the paired rows.
        seed: of their order.
        inside: whether those of the target's rows that end inside donor tokens are among them.

    Raises:
        MemoryLimitError: the rows, joined, do not fit into memory.
    """

    def __init__(
        self, target: Backbone, paired: PairedText, seed: int, *, inside: bool = False
    ) -> None:
        rows = paired.rows + (paired.unpaired if inside else 0)
        taps = len({*paired.batches[0].target.taps, target.n_layers})
        check_memory(
            "learning from paired rows",
            {"paired rows": 2 * 4 * rows * taps * target.d_model},  # joined, then in order
            "fewer `excerpts` or `taps`",
        )
        generator = torch.Generator().manual_seed(seed)
        self.target = target
        batches = (rows.taught if inside else rows.target for rows in paired.batches)
        states = concat_states([*batches])
        self.order = torch.randperm(len(states), generator=generator)
        self._states = states.select(self.order)

    def __len__(self) -> int:
        """The number of blocks; a last one that is not full is dropped where there are others."""
        return max(1, len(self.order) // BLOCK)

    def rows(self, blocks: Sequence[int]) -> Tensor:
        """The numbers of the rows of some blocks, in the random order."""
        rows = torch.cat([torch.arange(n * BLOCK, (n + 1) * BLOCK) for n in blocks])
        return rows[rows < len(self.order)]

    def states(self, rows: Tensor) -> States:
        """What the target computed at these rows, where it is."""
        return self._states.select(rows).to(self.target.device)
