"""Push-forward: p0 and p1, the donor without and with what it learned, as M p0 and M p1.

M counts every token of the donor for the longest token of the target that its bytes begin with
(`alignment.push_forward`). The change is r(u) = log (M p1)(u) - log (M p0)(u), shrunk by
mass / (mass + k). A token that is longer than what the donor reads first of it, so that it is the
image of none, gets the change of that first token: the first factor of the product along its own.
log p_donor - log p_target compares sums over the same classes, M p0 and the target's own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.alignment.likely import LikelyRows, Vocabularies
from transplant.alignment.push_forward import class_sums, firsts, push_forward
from transplant.alignment.token_ways import TokenWays
from transplant.calibration.changes.way import AskedTokens, ChangeWeights, DonorLogits

LEAST = 1e-30  # a probability whose logarithm is taken


def images(ways: TokenWays) -> Tensor:
    """The target's token that each of the donor's begins with, -1 for none [vocab_donor]."""
    return ways.images


def of_all(
    donor: DonorLogits, logits: Tensor, ways: TokenWays, weights: ChangeWeights
) -> Tensor:  # fmt: skip
    """The change at all tokens, see `way.OfAll`."""
    own, vocab = donor.own(), logits.shape[1]
    before, after = own.softmax(-1), (own + donor.change).softmax(-1)
    first = ways.beginnings.clamp_min(0)
    p0, p1 = (push_forward(p, ways.images, vocab)[:, ways.classes] for p in (before, after))
    at_first = [torch.where(ways.reached, m, p[:, first]) for m, p in ((p0, before), (p1, after))]
    change = _log_ratio(at_first[0], at_first[1], weights.shrink)
    if weights.raw_weight:
        theirs = logits.new_zeros(len(logits), vocab + 1)
        theirs.index_add_(1, ways.classes, logits.softmax(-1))
        change = change + weights.raw_weight * _log_ratio(theirs[:, ways.classes], p0)
    return torch.where(ways.classes < vocab, change, 0.0)


def of_likely(
    rows: LikelyRows,
    correction: Tensor,
    asked: AskedTokens,
    between: Vocabularies,
    weights: ChangeWeights,
) -> tuple[Tensor, Tensor]:
    """The change at some tokens of each row, see `way.OfLikely`.

    Sums are over what is likely for the donor, with or without what it learned, and over what the
    tokens that are asked for begin with.
    """
    ways, vocab = between.ways, len(between.ways.beginnings)
    first = ways.beginnings[asked.tokens].clamp_min(0)
    source = torch.cat([rows.donor.tokens, rows.taught.tokens, first], dim=1)
    own = between.donor_head.at(rows.h_donor, source)
    both = own + between.donor_head.at(correction, source)
    p = torch.stack([own - rows.donor.total[:, None], both - rows.taught.total[:, None]]).exp()
    image = ways.images[source]
    image = torch.where(image >= 0, image, vocab)
    classes = ways.classes[asked.tokens]
    masses = class_sums(image, p * firsts(source), classes)  # [2, rows, tokens]
    p0, p1 = torch.where(ways.reached[asked.tokens], masses, p[:, :, -first.shape[1] :])
    change = _log_ratio(p0, p1, weights.shrink)
    if weights.raw_weight:
        q = (asked.logits - rows.target.total[:, None]).exp()
        # A class of which nothing is likely has no more than the least of what is.
        least = p[0, :, : rows.donor.tokens.shape[1]].amin(1, keepdim=True)
        ours = torch.where(masses[0] > 0, masses[0], least)
        change = change + weights.raw_weight * _log_ratio(class_sums(classes, q, classes), ours)
    known = torch.ones_like(asked.tokens, dtype=torch.bool)
    return torch.where(classes < vocab, change, 0.0), known


def _log_ratio(before: Tensor, after: Tensor, shrink: float = 0.0) -> Tensor:
    ratio = after.clamp_min(LEAST).log() - before.clamp_min(LEAST).log()
    if shrink:
        mass = (before + after) / 2
        ratio = ratio * (mass / (mass + shrink))
    return ratio
