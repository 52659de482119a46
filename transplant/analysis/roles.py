"""Roles of attention heads, by what they read on text.

A *previous-token* head reads the token before; a *duplicate* head reads earlier places of the same
token; an *induction* head what came after these (Olsson et al., arXiv:2209.11895). A score is the
attention that goes there, over the positions where there is such a place; its chance is what even
attention over all that can be read would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ROLES = ("previous", "duplicate", "induction")
LIFT = 0.2
"""Attention above chance from which on a head has a role; its largest lift names it."""


@dataclass(frozen=True)
class HeadScores:
    """Attention of the heads of one block to the places of each role, document by document."""

    scores: Tensor  # float64 [roles, heads, documents], summed over positions
    chance: Tensor  # float64 [roles, documents], likewise
    positions: Tensor  # float64 [roles, documents]: where there is such a place

    def mean(self) -> Tensor:
        """The score of each head, float64 [roles, heads]; 0 without any such position."""
        return self.scores.sum(2) / self.positions.sum(1).clamp_min(1)[:, None]

    def by_chance(self) -> Tensor:
        """What even attention would score, float64 [roles]."""
        return self.chance.sum(1) / self.positions.sum(1).clamp_min(1)

    def roles(self) -> list[str | None]:
        """The role of each head; None for one that reads nothing in particular."""
        lift = self.mean() - self.by_chance()[:, None]  # [roles, heads]
        best = lift.max(0)
        return [
            ROLES[int(role)] if float(value) >= LIFT else None
            for value, role in zip(best.values, best.indices, strict=True)
        ]


def role_places(ids: Tensor) -> Tensor:
    """The places of each role, bool [roles, seq, seq]: which keys count for which query.

    Args:
        ids: tokens [seq].
    """
    n = len(ids)
    at = torch.arange(n)
    earlier = at[None] < at[:, None]
    same = (ids[:, None] == ids[None]) & earlier
    after = torch.zeros(n, n, dtype=torch.bool)
    after[:, 1:] = same[:, :-1]  # the key behind an earlier place of the query's token ...
    after &= earlier  # ... that is no query's own
    return torch.stack([at[None] == at[:, None] - 1, same, after])


def score_heads(
    weights: Sequence[Tensor], tokens: Sequence[Tensor], documents: Sequence[int], first: int = 0
) -> HeadScores:
    """Scores the heads of one block on some windows.

    Args:
        weights: attention of each window [heads, seq, first + seq], rows that sum to 1.
        tokens: of each window [seq].
        documents: of each window.
        first: keys that stand before the text: a beginning-of-text token.
    """
    names = sorted(set(documents))
    heads = len(weights[0])
    scores = torch.zeros(len(ROLES), heads, len(names), dtype=torch.float64)
    chance = torch.zeros(len(ROLES), len(names), dtype=torch.float64)
    positions = torch.zeros(len(ROLES), len(names), dtype=torch.float64)
    for read, ids, document in zip(weights, tokens, documents, strict=True):
        number, places = names.index(document), role_places(ids)
        there = places.any(2)  # [roles, seq]
        read = read[..., first:].double()
        scores[..., number] += torch.einsum("hqk,rqk->rh", read, places.double())
        readable = first + 1 + torch.arange(len(ids))
        chance[:, number] += (places.sum(2) / readable).sum(1)
        positions[:, number] += there.sum(1)
    return HeadScores(scores, chance, positions)
