"""Windows that are read together: where their padding is, and who stands in for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.backbones.parts import block_width
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.text.windows import Window, batches

KEPT_BYTES = 1 << 29  # of the states that are kept behind the blocks


@dataclass(frozen=True)
class Batch:
    """Some windows as the blocks of a backbone see them: [batch, seq, width], right-padded."""

    windows: tuple[Window, ...]
    real: Tensor
    """bool [batch, seq]: False where there is padding."""

    @classmethod
    def of(cls, backbone: Backbone, windows: Sequence[Window]) -> Batch:
        """The batch that the backbone makes of some windows."""
        counts = [backbone.skipped + len(backbone.rows_of(window).ids) for window in windows]
        positions = torch.arange(max(counts))
        return cls(tuple(windows), positions < torch.tensor(counts)[:, None])

    @property
    def documents(self) -> Tensor:
        """The document of each window, int64 [batch]."""
        return torch.tensor([window.document for window in self.windows])

    def derangement(self, generator: torch.Generator) -> Tensor:
        """Another window for each, drawn at random: int64 [batch].

        It is of another document, but where one document has more than half of the windows: then
        for as many as there are windows of others.

        Raises:
            InputError: there is one window alone.
        """
        count = len(self.windows)
        if count < 2:
            raise InputError(
                "`intervention='resample'` has no other window to take values from",
                expected="2 windows or more in a batch", found=count,
            )  # fmt: skip
        drawn = torch.randperm(count, generator=generator).tolist()
        groups: dict[int, list[int]] = {}
        for index in drawn:
            groups.setdefault(self.windows[index].document, []).append(index)
        order = torch.tensor([index for group in groups.values() for index in group])
        # A step as long as the longest group leads out of every group, and none to itself.
        step = max(map(len, groups.values()))
        partner = torch.empty(count, dtype=torch.long)
        partner[order] = order.roll(step if step < count else 1)
        return partner

    def rows_of(self, partner: Tensor) -> tuple[Tensor, Tensor]:
        """Where each position finds the value of its window's partner, both int64 [batch, seq].

        It is the same position; behind the partner's end, its positions from the second on again:
        the first one is unlike all others, as it attends to itself alone.
        """
        lengths = self.real.sum(1)[partner][:, None]  # [batch, 1]
        positions = torch.arange(self.real.shape[1])[None].expand(len(partner), -1)
        again = 1 + (positions - 1) % (lengths - 1).clamp_min(1)
        found = torch.where(positions < lengths, positions, again.minimum(lengths - 1))
        return partner[:, None].expand_as(found), found


def make_batches(backbone: Backbone, windows: Sequence[Window], tokens: int) -> list[Batch]:
    """Groups windows of like length; a batch of one window only where there is no other.

    Args:
        backbone: reads them; the states behind all of its blocks must fit `KEPT_BYTES`.
        windows: what is traced.
        tokens: of a batch at most, padding included.
    """
    state = block_width(backbone) * backbone.dtype.itemsize * (backbone.n_layers + 1)
    tokens = max(1, min(tokens, KEPT_BYTES // state))
    groups = [[windows[index] for index in group] for group in batches(windows, tokens)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-1].insert(0, groups[-2].pop())
    if any(len(group) < 2 for group in groups) and len(windows) > 1:
        groups = [[*windows[at : at + 2]] for at in range(0, len(windows) - 1, 2)]
        groups[-1].extend(windows[2 * len(groups) :])
    return [Batch.of(backbone, group) for group in groups]
