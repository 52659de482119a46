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
from transplant.calibration.changes.way import AskedTokens, ChangeWeights, DonorLogits, Masses

LEAST = 1e-30  # a probability whose logarithm is taken


def images(ways: TokenWays) -> Tensor:
    """The target's token that each of the donor's begins with, -1 for none [vocab_donor]."""
    return ways.images


def of_all(
    donor: DonorLogits, logits: Tensor, ways: TokenWays, weights: ChangeWeights
) -> Tensor:  # fmt: skip
    """The change at all tokens, see `way.OfAll`."""
    return change_of(masses_of_all(donor, logits, ways), weights)


def of_likely(
    rows: LikelyRows,
    correction: Tensor,
    asked: AskedTokens,
    between: Vocabularies,
    weights: ChangeWeights,
) -> tuple[Tensor, Tensor]:
    """The change at some tokens of each row, see `way.OfLikely`."""
    change = change_of(masses_of_likely(rows, correction, asked, between), weights)
    return change, torch.ones_like(asked.tokens, dtype=torch.bool)


def change_of(masses: Masses, weights: ChangeWeights) -> Tensor:
    """r, and the weighted log p_donor - log p_target; 0 of the remainder."""
    change = log_ratio(*masses.first, weights.shrink)
    if weights.raw_weight:
        change = change + weights.raw_weight * log_ratio(masses.theirs, masses.classes[0])
    return torch.where(masses.known, change, 0.0)


def masses_of_all(donor: DonorLogits, logits: Tensor, ways: TokenWays) -> Masses:
    """Those of every token [rows, vocab_target]."""
    own, vocab = donor.own(), logits.shape[1]
    others = ways.unreached
    begins, classes = ways.beginnings[others].clamp_min(0), ways.classes[others]

    def of_tokens(of_classes: Tensor, of_others: Tensor) -> Tensor:
        """[rows, vocab + 1] with the columns of what is no image replaced: [rows, vocab]."""
        return of_classes[:, :vocab].clone().index_copy_(1, others, of_others)

    first, summed = [], []
    for p in (own.softmax(-1), (own + donor.change).softmax(-1)):
        pushed = push_forward(p, ways.images, vocab)
        first.append(of_tokens(pushed, p.index_select(1, begins)))
        summed.append(of_tokens(pushed, pushed.index_select(1, classes)))
    theirs = logits.new_zeros(len(logits), vocab + 1)
    theirs.index_add_(1, ways.classes, logits.softmax(-1))
    theirs = of_tokens(theirs, theirs.index_select(1, classes))
    return Masses((first[0], first[1]), (summed[0], summed[1]), theirs, ways.classes < vocab)


def masses_of_likely(
    rows: LikelyRows, correction: Tensor, asked: AskedTokens, between: Vocabularies
) -> Masses:
    """Those of some tokens of each row [rows, asked].

    Sums are over what is likely for the donor, with or without what it learned, and over what the
    tokens that are asked for begin with.
    """
    ways, vocab = between.ways, len(between.ways.beginnings)
    begins = ways.beginnings[asked.tokens].clamp_min(0)
    source = torch.cat([rows.donor.tokens, rows.taught.tokens, begins], dim=1)
    own = between.donor_head.at(rows.h_donor, source)
    both = own + between.donor_head.change_at(rows.h_donor, correction, source)
    p = torch.stack([own - rows.donor.total[:, None], both - rows.taught.total[:, None]]).exp()
    image = ways.images[source]
    image = torch.where(image >= 0, image, vocab)
    classes = ways.classes[asked.tokens]
    found = class_sums(image, p * firsts(source), classes)  # [2, rows, asked]
    first0, first1 = torch.where(ways.reached[asked.tokens], found, p[:, :, -begins.shape[1] :])
    # A class of which nothing is likely has no more than the least of what is.
    least = p[:, :, : rows.donor.tokens.shape[1]].amin(2, keepdim=True)
    p0, p1 = torch.where(found > 0, found, least)
    theirs = class_sums(classes, (asked.logits - rows.target.total[:, None]).exp(), classes)
    return Masses((first0, first1), (p0, p1), theirs, classes < vocab)


def log_ratio(before: Tensor, after: Tensor, shrink: float = 0.0) -> Tensor:
    """log after - log before, shrunk by mass / (mass + shrink) of their mean."""
    ratio = (after.clamp_min(LEAST) / before.clamp_min(LEAST)).log_()  # at most 1 / LEAST
    if shrink:
        mass = (before + after) / 2
        ratio = ratio * (mass / (mass + shrink))
    return ratio
