"""The likely tokens of each row, found once, and changes of logits at these alone.

Of 262,144 tokens a few hundred carry nearly all of a position's probability, before a change and
after it. One pass over the vocabulary keeps them, with the sum over all the others; everything that
is wanted of the change is then computed at those few.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.logits import LikelyChange
from transplant.backbones.split_head import SplitHead

GROUP = 64  # tokens share a maximum: the best k lie in the k groups with the best ones
BYTES = 1 << 26  # of a block's logits
AT_ONCE = 64  # rows whose tokens' vectors are gathered at a time


@dataclass(frozen=True)
class LikelyTokens:
    """The tokens with the largest logits of each row, and what the logits sum up to."""

    tokens: Tensor  # [rows, kept]
    logits: Tensor  # [rows, kept], single precision
    total: Tensor  # log sum exp over the vocabulary [rows]
    shared: Tensor  # the same over the shared tokens [rows]

    def __getitem__(self, rows: slice | Tensor) -> LikelyTokens:
        return LikelyTokens(*(part[rows] for part in vars(self).values()))

    def cpu(self) -> LikelyTokens:
        """The same on the CPU, where fits run."""
        return LikelyTokens(*(part.cpu() for part in vars(self).values()))


@torch.no_grad()
def likely_tokens(head: SplitHead, hidden: Tensor, kept: int, shared: Tensor) -> LikelyTokens:
    """Goes through the vocabulary once.

    Args:
        head: of the model.
        hidden: last hidden states [rows, d_model].
        kept: tokens to keep of each row.
        shared: the tokens that both vocabularies have [shared].
    """
    size = max(1, BYTES // (head.vocab * head.weight.element_size()))
    parts = [_of_block(head, rows, kept, shared) for rows in hidden.split(size)]
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return LikelyTokens(*(torch.cat(column) for column in columns))


def _of_block(head: SplitHead, hidden: Tensor, kept: int, shared: Tensor) -> LikelyTokens:
    groups = -(-head.vocab // GROUP)
    kept = min(kept, head.vocab)
    logits = hidden.new_full((len(hidden), groups * GROUP), -torch.inf, dtype=head.weight.dtype)
    total = torch.full((len(hidden),), -torch.inf, device=hidden.device)
    for tokens in head.pieces():
        piece = head.logits(hidden, tokens)
        logits[:, tokens] = piece
        total = torch.logaddexp(total, piece.float().logsumexp(1))
    grouped = logits.unflatten(1, (groups, GROUP))
    best = grouped.amax(2).topk(min(kept, groups), sorted=False).indices  # [rows, kept]
    within = torch.arange(GROUP, device=hidden.device)
    candidates = (best[:, :, None] * GROUP + within).flatten(1)
    values, places = logits.gather(1, candidates).topk(kept, sorted=False)
    return LikelyTokens(
        candidates.gather(1, places),
        values.float(),
        total,
        logits[:, shared].float().logsumexp(1),
    )


@dataclass(frozen=True)
class LikelyRows:
    """Some paired rows: what is likely on either side, with nothing changed."""

    h_donor: Tensor  # [rows, d_donor]
    h_target: Tensor  # [rows, d_target]
    target: LikelyTokens
    donor: LikelyTokens
    taught: Tensor  # the donor's likely tokens with its module at work [rows, kept]


@dataclass(frozen=True)
class Vocabularies:
    """How the tokens of donor and target belong together."""

    donor_head: SplitHead
    head: SplitHead
    beginnings: Tensor  # the donor's token that each of the target's begins with, -1 [vocab_target]
    same: Tensor  # the target's token that is each of the donor's, -1 for none [vocab_donor]


@torch.no_grad()
def likely_changes(
    rows: LikelyRows,
    correction: Tensor,
    between: Vocabularies,
    *,
    raw_weight: float,
    likely: int,
) -> LikelyChange:
    """The change of the target's logits that is wanted, on the tokens that are likely there.

    What `change_of_logits`, `spread_change` and `likely_change` compute of all tokens, of those
    that are likely for the target or for the donor.

    Args:
        rows: the paired rows.
        correction: the donor's, through its module [rows, d_donor].
        between: the two vocabularies.
        raw_weight: of log p_donor - log p_target, both without the module.
        likely: tokens to keep of each row.
    """
    parts = []
    for start in range(0, len(correction), AT_ONCE):
        block = slice(start, start + AT_ONCE)
        some = LikelyRows(
            rows.h_donor[block], rows.h_target[block],
            rows.target[block], rows.donor[block], rows.taught[block],
        )  # fmt: skip
        tokens, logits = _candidates(some, between)
        change = _change(some, correction[block], tokens, between, raw_weight)
        parts.append(_keep(some, tokens, logits, change, likely))
    return LikelyChange(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _candidates(rows: LikelyRows, between: Vocabularies) -> tuple[Tensor, Tensor]:
    """Tokens of the target that are likely on either side, and their logits; -inf for none."""
    theirs = between.same[torch.cat([rows.donor.tokens, rows.taught], dim=1)].sort(1).values
    twice = torch.zeros_like(theirs, dtype=torch.bool)
    twice[:, 1:] = theirs[:, 1:] == theirs[:, :-1]
    known = (theirs[:, :, None] == rows.target.tokens[:, None]).any(2)
    logits = between.head.at(rows.h_target, theirs.clamp_min(0))
    logits = logits.masked_fill(twice | known | (theirs < 0), -torch.inf)
    return (
        torch.cat([rows.target.tokens, theirs.clamp_min(0)], dim=1),
        torch.cat([rows.target.logits, logits], dim=1),
    )


def _change(
    rows: LikelyRows, correction: Tensor, tokens: Tensor, between: Vocabularies, raw_weight: float
) -> tuple[Tensor, Tensor]:
    """The carried change [rows, tokens], and where the donor has a token to carry it from."""
    begins = between.beginnings[tokens]
    source = begins.clamp_min(0)
    carried = between.donor_head.at(correction, source)
    if raw_weight:
        exact = between.same[source]
        own = between.donor_head.at(rows.h_donor, source) - rows.donor.shared[:, None]
        said = between.head.at(rows.h_target, exact.clamp_min(0)) - rows.target.shared[:, None]
        carried = carried + raw_weight * torch.where(exact >= 0, own - said, 0.0)
    return carried, begins >= 0


def _keep(
    rows: LikelyRows,
    tokens: Tensor,
    logits: Tensor,
    change: tuple[Tensor, Tensor],
    likely: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, weights and centred change of the likely ones among the candidates."""
    carried, known = change
    before = (logits - rows.target.total[:, None]).exp()
    counted = before * known
    tiny = torch.finfo(before.dtype).tiny
    expected = (counted * carried).sum(1) / counted.sum(1).clamp_min(tiny)  # [rows]
    carried = torch.where(known, carried, expected[:, None])
    # All other tokens are taken to change as is expected.
    others = (1 - before.sum(1)).clamp_min(tiny).log() + rows.target.total + expected
    total = torch.logaddexp((logits + carried).logsumexp(1), others)
    mean = before + (logits + carried - total[:, None]).exp()
    weights, places = mean.topk(min(likely, mean.shape[1]), dim=1, sorted=False)
    weights = weights / weights.sum(1, keepdim=True)
    kept = carried.gather(1, places)
    centred = kept - (weights * kept).sum(1, keepdim=True)
    return tokens.gather(1, places), weights, centred
