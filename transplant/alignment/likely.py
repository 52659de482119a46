"""The likely tokens of each row, found once.

Of 262,144 tokens a few hundred carry nearly all of a position's probability, before a change and
after it. One pass over the vocabulary keeps them, with the sum over all the others; everything that
is wanted of the change is then computed at those few (`calibration.changes.likely`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.token_ways import TokenWays
from transplant.backbones.split_head import SplitHead

GROUP = 64  # tokens share a maximum: the best k lie in the k groups with the best ones
BYTES = 1 << 26  # of a block's logits


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
    taught: LikelyTokens  # of the donor with what it learned

    def __getitem__(self, rows: slice) -> LikelyRows:
        return LikelyRows(
            self.h_donor[rows], self.h_target[rows],
            self.target[rows], self.donor[rows], self.taught[rows],
        )  # fmt: skip


@dataclass(frozen=True)
class Vocabularies:
    """How the tokens of donor and target belong together."""

    donor_head: SplitHead
    head: SplitHead
    ways: TokenWays
