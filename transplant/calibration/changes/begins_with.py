"""Begins with: a token of the target changes as the donor's token that it begins with."""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.alignment.likely import LikelyRows, Vocabularies
from transplant.alignment.logits import spread_change
from transplant.alignment.token_ways import TokenWays
from transplant.calibration.changes.way import AskedTokens, ChangeWeights, DonorLogits


def images(ways: TokenWays) -> Tensor:
    """The target's token that is each of the donor's, -1 for none [vocab_donor]."""
    return ways.same


def of_all(
    donor: DonorLogits, logits: Tensor, ways: TokenWays, weights: ChangeWeights
) -> Tensor:  # fmt: skip
    """The change at all tokens, see `way.OfAll`."""
    change = donor.change
    if weights.raw_weight:
        change = change + weights.raw_weight * _raw_log_ratio(donor, logits, ways)
    return spread_change(change, logits.softmax(-1), ways.beginnings)


def _raw_log_ratio(donor: DonorLogits, logits: Tensor, ways: TokenWays) -> Tensor:
    """log p_donor - log p_target of shared tokens [rows, vocab_donor], 0 at the donor's others."""
    shared, own = ways.shared, donor.own()
    ratio = torch.zeros_like(own)
    ratio[:, shared.ids_a] = own[:, shared.ids_a].log_softmax(-1) - logits[
        :, shared.ids_b
    ].log_softmax(-1)
    return ratio


def of_likely(
    rows: LikelyRows,
    correction: Tensor,
    asked: AskedTokens,
    between: Vocabularies,
    weights: ChangeWeights,
) -> tuple[Tensor, Tensor]:
    """The change at some tokens of each row, see `way.OfLikely`."""
    begins = between.ways.beginnings[asked.tokens]
    source = begins.clamp_min(0)
    carried = between.donor_head.change_at(rows.h_donor, correction, source)
    if weights.raw_weight:
        exact = between.ways.same[source]
        own = between.donor_head.at(rows.h_donor, source) - rows.donor.shared[:, None]
        theirs = between.head.at(rows.h_target, exact.clamp_min(0)) - rows.target.shared[:, None]
        carried = carried + weights.raw_weight * torch.where(exact >= 0, own - theirs, 0.0)
    return carried, begins >= 0
