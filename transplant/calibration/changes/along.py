"""The change of a token of the target that is longer than the donor's own, where the text shows it.

The probability of such a token is a product along the donor's own tokens: those of the text as far
as they lie inside it, and at the last of these all that complete it
(`alignment.continuations.Continuations.completing`). Each factor is read where the donor stands in
the text, so that only the token with which the text goes on has a product; of all others the first
factor stands for it. What is learned of it comes from the next tokens of the pairing text.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.continuations import Continuations
from transplant.backbones.split_head import SplitHead
from transplant.calibration.changes.way import ChangeWeights, Masses, Way
from transplant.calibration.paired_rows import PairedRows

NUMBERS = 2_500_000  # of logits at a time


@dataclass(frozen=True)
class Shown:
    """Tokens of the target with which the text goes on, by the donor's product along its own."""

    rows: Tensor  # of a batch, ascending [shown]
    tokens: Tensor  # of the target [shown]
    p0: Tensor  # without what the donor learned [shown]
    p1: Tensor  # with it [shown]

    def among(self, rows: slice) -> Shown:
        """Those of some rows, which count from 0."""
        first, last = torch.searchsorted(self.rows, torch.tensor([rows.start, rows.stop])).tolist()
        part = slice(first, last)
        return Shown(self.rows[part] - rows.start, self.tokens[part], self.p0[part], self.p1[part])

    def change(self, theirs: Tensor, way: Way, weights: ChangeWeights) -> Tensor:
        """The change of each as a way compares masses [shown].

        Args:
            theirs: the raw target's probability of each [shown].
            way: how a change is carried over.
            weights: of its parts.
        """
        both = self.p0, self.p1
        known = torch.ones_like(theirs, dtype=torch.bool)
        return way.of_masses(Masses(both, both, theirs, known), weights)


@torch.no_grad()
def products_along(
    batch: PairedRows,
    corrections: tuple[Tensor, Tensor],
    head: SplitHead,
    continuations: Continuations,
) -> Shown | None:
    """The products at the pairs of a batch behind which the target's token is longer.

    Args:
        batch: with the donor's rows inside tokens of the target.
        corrections: of the donor, through what it learned: at its pairs, and at those rows
            [rows, d_donor].
        head: of the donor.
        continuations: the two vocabularies.

    Returns:
        None where there are none.
    """
    longer = batch.longer
    if longer is None:
        return None
    tokens, read = batch.target.labels[longer.places].tolist(), longer.texts()
    ends = [continuations.completing(*some) for some in zip(read, tokens, strict=True)]
    firsts, first = batch.donor.select(longer.places), corrections[0][longer.places]
    labels = [[one] for one in firsts.labels.tolist()]
    last = torch.searchsorted(longer.owners, torch.arange(len(ends)), right=True) - 1
    inside: list[list[int]] = [[one] for one in longer.donor.labels.tolist()]
    for place, end in zip(last.tolist(), ends, strict=True):
        inside[place] = end.tolist()
    logs = log_masses(firsts.h_last, first, labels, head)
    more = log_masses(longer.donor.h_last, corrections[1], inside, head)
    p0, p1 = logs.index_add(1, longer.owners, more).exp()
    kept = torch.tensor([len(end) > 0 for end in ends])
    if not kept.any():
        return None
    shown = torch.tensor(tokens)[kept]
    return Shown(longer.places[kept], shown, p0[kept], p1[kept])


def log_masses(h: Tensor, correction: Tensor, tokens: list[list[int]], head: SplitHead) -> Tensor:
    """log of the donor's mass on some tokens, without and with its correction [2, rows].

    Args:
        h: its last hidden states [rows, d_donor].
        correction: of these [rows, d_donor].
        tokens: of each row; -inf for none.
        head: of the donor.
    """
    size, found = max(1, NUMBERS // head.vocab), []
    for begin in range(0, len(h), size):
        block = slice(begin, begin + size)
        own = head.of_all(h[block])
        both = torch.stack([own, own + head.change_of_all(h[block], correction[block])])
        log_p = both.log_softmax(-1)
        found.append(torch.stack([
            log_p[:, row, some].logsumexp(-1) for row, some in enumerate(tokens[block])
        ], dim=1))  # fmt: skip
    return torch.cat(found, dim=1)
