"""The donor teaches at the likely tokens alone: what costs as much with any vocabulary.

The closed form solves P_out for the changes of logits that are wanted, behind a P_in that was
fitted to z. Here P_in learns with it, by the same error (see `alignment.logits`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from transplant.alignment.logits import LikelyChange
from transplant.backbones.token_vectors import TokenVectors
from transplant.backbones.view import Backbone
from transplant.calibration.mapped_corrections import MappedCorrections
from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.paired_blocks import PairedBlocks
from transplant.calibration.pairs import PairedText

VECTORS = 1 << 26  # bytes of the vectors of likely tokens that are gathered at a time


class ChangeBatches:
    """Paired rows of the target, in random order, with the change of logits wanted at each.

    Args:
        target: the frozen backbone.
        paired: the paired rows.
        wanted: what was mapped for them, see `map_corrections`.
        seed: of the order.
        gain: a factor on what is wanted.
    """

    def __init__(
        self, target: Backbone, paired: PairedText, wanted: MappedCorrections, seed: int,
        gain: float = 1.0,
    ) -> None:  # fmt: skip
        self.target = target
        self._blocks = PairedBlocks(target, paired, seed, inside=bool(wanted.inside))
        every = LikelyChange.joined(wanted.all_changes())
        self._change = every.at(self._blocks.order, every.change.device, gain)

    def __len__(self) -> int:
        """The number of blocks."""
        return len(self._blocks)

    def batch(self, units: Sequence[int]) -> Batch:
        """The rows of these blocks."""
        rows, device = self._blocks.rows(units), self.target.device
        wanted = self._change.at(rows, device)
        return Batch(self.target, self._blocks.states(rows), wanted_change=wanted)


def donor_changes(batch: Batch, change: Tensor, _progress: float) -> Tensor:
    """sum_v p_v (s_v u_v c - change_v - shift)^2 over likely tokens v, the mean over rows.

    The shift of each row is free, since it changes no probability.

    Args:
        batch: rows, with the change that is wanted of their logits.
        change: the correction c [rows, d_model] that learns.
    """
    wanted, head = batch.wanted_change, batch.target.unembedding
    assert wanted is not None
    size = max(1, VECTORS // (4 * wanted.tokens.shape[1] * head.shape[1]))
    total, slopes = change.new_zeros(()), []
    with torch.no_grad():  # quadratic in c: its gradient is written down, and no vector is kept
        for start in range(0, len(change), size):
            rows = slice(start, start + size)
            tokens, weights = wanted.tokens[rows], wanted.weights[rows]
            vectors, slopes_there = TokenVectors.of(head, tokens, change.dtype), wanted.slopes[rows]
            left = slopes_there * vectors.products(change[rows]) - wanted.change[rows]
            left = left - (weights * left).sum(1, keepdim=True)
            total += (weights * left.square()).sum()
            slopes.append(2 * vectors.sums(slopes_there * weights * left))
    slope = torch.cat(slopes)
    return (total + (slope * (change - change.detach())).sum()) / len(change)
