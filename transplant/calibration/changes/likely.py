"""The wanted change of a target's logits at the likely tokens alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from transplant.alignment.likely import LikelyRows, LikelyTokens, Vocabularies
from transplant.alignment.logits import LikelyChange, slopes_of
from transplant.calibration.changes.along import Shown
from transplant.calibration.changes.way import AskedTokens, ChangeWeights, Way

AT_ONCE = 64  # rows whose tokens' vectors are gathered at a time


@torch.no_grad()
def likely_changes(
    rows: LikelyRows,
    correction: Tensor,
    between: Vocabularies,
    way: Way,
    weights: ChangeWeights,
    *,
    likely: int,
    rest: int = 0,
    shown: Shown | None = None,
) -> LikelyChange:
    """The change of the target's logits that is wanted, on the tokens that are likely there.

    What a way and `likely_change` compute of all tokens, of those that are likely for the target or
    for the donor.

    Args:
        rows: the paired rows.
        correction: the donor's, through what it learned [rows, d_donor].
        between: the two vocabularies.
        way: how a change is carried over.
        weights: of its parts.
        likely: tokens to keep of each row.
        rest: tokens that stand for all others, evenly drawn from what is left of the probability
            and of equal weight; without them nothing holds the others where they should be.
        shown: tokens that the text goes on with, by the donor's product along its own.
    """
    parts = []
    for start in range(0, len(correction), AT_ONCE):
        block = slice(start, start + AT_ONCE)
        some, asked = rows[block], candidates(rows[block], between, way)
        own = None if shown is None else shown.among(slice(start, start + len(some.h_target)))
        if own is not None:
            asked = _with_shown(asked, own, some, between)
        change = way.of_likely(some, correction[block], asked, between, weights)
        if own is not None:
            change = _put_shown(change, asked, own, some.target, way, weights)
        cap = between.head.soft_cap
        parts.append(keep_likely(some.target, asked, change, likely, rest, cap))
    return LikelyChange.joined(parts)


@torch.no_grad()
def label_losses(
    rows: LikelyRows,
    correction: Tensor,
    labels: Tensor,
    between: Vocabularies,
    way: Way,
    weights: ChangeWeights,
    gains: Mapping[str, float],
) -> dict[str, Tensor]:
    """-log p of each row's next token with a change at some gains, in nats [rows].

    Args:
        rows: what is likely there.
        correction: the donor's, through what it learned [rows, d_donor].
        labels: the next tokens [rows].
        between: the two vocabularies.
        way: how a change is carried over.
        weights: of its parts.
        gains: factors on the change, by name.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in gains}
    for start in range(0, len(correction), AT_ONCE):
        block = slice(start, start + AT_ONCE)
        some, label = rows[block], labels[block, None]
        of_label = between.head.at(some.h_target, label)
        asked = with_labels(candidates(some, between, way), label, of_label)
        change = way.of_likely(some, correction[block], asked, between, weights)
        for name, loss in changed_losses(some.target, asked, change, of_label, gains).items():
            parts[name].append(loss)
    return {name: torch.cat(found) for name, found in parts.items()}


def _with_shown(
    asked: AskedTokens, shown: Shown, rows: LikelyRows, between: Vocabularies
) -> AskedTokens:
    """The same tokens, and behind them those that are shown; where none is, one of the others."""
    label = asked.tokens[:, :1].index_copy(0, shown.rows, shown.tokens[:, None])
    return with_labels(asked, label, between.head.at(rows.h_target, label))


def _put_shown(
    change: tuple[Tensor, Tensor], asked: AskedTokens, shown: Shown, target: LikelyTokens,
    way: Way, weights: ChangeWeights,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A change at the tokens that are asked for, with that of the shown ones in its place."""
    here = (asked.tokens[shown.rows] == shown.tokens[:, None]) & asked.logits[shown.rows].isfinite()
    places = here.int().argmax(1)
    logits = asked.logits[shown.rows, places]
    theirs = (logits - target.total[shown.rows]).exp()
    found = shown.change(theirs, way, weights)
    carried, known = change
    at = shown.rows, places
    return carried.index_put(at, found), known.index_put(
        at, torch.ones_like(places, dtype=torch.bool)
    )


def with_labels(asked: AskedTokens, label: Tensor, of_label: Tensor) -> AskedTokens:
    """The same tokens, and behind them each row's next one.

    Args:
        asked: tokens of the target.
        label: the next tokens [rows, 1].
        of_label: their logits [rows, 1].
    """
    known = (asked.tokens == label) & asked.logits.isfinite()
    beside = of_label.masked_fill(known.any(1, keepdim=True), -torch.inf)
    return AskedTokens(
        torch.cat([asked.tokens, label], dim=1), torch.cat([asked.logits, beside], dim=1)
    )


def changed_losses(
    target: LikelyTokens,
    asked: AskedTokens,
    change: tuple[Tensor, Tensor],
    of_label: Tensor,
    gains: Mapping[str, float],
) -> dict[str, Tensor]:
    """-log p of each row's next token with a change at some gains, in nats [rows].

    Args:
        target: what is likely there.
        asked: tokens of the target, the next one last.
        change: at these, and whether there is one.
        of_label: the raw logits of the next tokens [rows, 1].
        gains: factors on the change, by name.
    """
    carried, expected = settled(target, asked, change)
    return {
        name: log_total(target, asked, gain * carried, gain * expected)
        - of_label[:, 0]
        - gain * carried[:, -1]
        for name, gain in gains.items()
    }


def candidates(rows: LikelyRows, between: Vocabularies, way: Way) -> AskedTokens:
    """Tokens of the target that are likely on either side, and their logits; -inf for none."""
    images = way.images(between.ways)
    theirs = images[torch.cat([rows.donor.tokens, rows.taught.tokens], dim=1)].sort(1).values
    twice = torch.zeros_like(theirs, dtype=torch.bool)
    twice[:, 1:] = theirs[:, 1:] == theirs[:, :-1]
    known = (theirs[:, :, None] == rows.target.tokens[:, None]).any(2)
    logits = between.head.at(rows.h_target, theirs.clamp_min(0))
    logits = logits.masked_fill(twice | known | (theirs < 0), -torch.inf)
    return AskedTokens(
        torch.cat([rows.target.tokens, theirs.clamp_min(0)], dim=1),
        torch.cat([rows.target.logits, logits], dim=1),
    )


def settled(
    target: LikelyTokens, asked: AskedTokens, change: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The change at every token that is asked for, and what all others change by.

    A token without a change of its own gets what is expected where the target stands, and so do all
    that are not asked for.

    Returns:
        [rows, asked] and [rows]
    """
    carried, known = change
    counted = (asked.logits - target.total[:, None]).exp() * known
    tiny = torch.finfo(counted.dtype).tiny
    expected = (counted * carried).sum(1) / counted.sum(1).clamp_min(tiny)  # [rows]
    return torch.where(known, carried, expected[:, None]), expected


def log_total(target: LikelyTokens, asked: AskedTokens, change: Tensor, others: Tensor) -> Tensor:
    """log sum exp of the changed logits over the whole vocabulary [rows].

    Args:
        target: what is likely there.
        asked: tokens of the target.
        change: of these [rows, asked].
        others: what all others change by [rows].
    """
    before = (asked.logits - target.total[:, None]).exp().sum(1)
    rest = (1 - before).clamp_min(torch.finfo(before.dtype).tiny).log() + target.total + others
    return torch.logaddexp((asked.logits + change).logsumexp(1), rest)


def keep_likely(
    target: LikelyTokens, asked: AskedTokens, change: tuple[Tensor, Tensor], likely: int, rest: int,
    soft_cap: float | None = None,
) -> LikelyChange:  # fmt: skip
    """Tokens, weights and centred change of the likely ones among the candidates, and of others.

    Args:
        target: what is likely there.
        asked: the candidates.
        change: at these, and whether there is one.
        likely: tokens to keep of each row.
        rest: tokens that stand for all others.
        soft_cap: of the target's head.
    """
    carried, expected = settled(target, asked, change)
    total = log_total(target, asked, carried, expected)
    before = (asked.logits - target.total[:, None]).exp()
    mean = before + (asked.logits + carried - total[:, None]).exp()
    weights, places = mean.topk(min(likely, mean.shape[1]), dim=1, sorted=False)
    if rest and mean.shape[1] > likely:
        others = _spread_over(mean.scatter(1, places, 0.0), rest)
        left = (2 - weights.sum(1, keepdim=True)).clamp_min(0)  # before and after sum to 1 each
        weights = torch.cat([weights, (left / rest).expand(-1, rest)], dim=1)
        places = torch.cat([places, others], dim=1)
    weights = weights / weights.sum(1, keepdim=True)
    kept = carried.gather(1, places)
    centred = kept - (weights * kept).sum(1, keepdim=True)
    tokens, slopes = asked.tokens.gather(1, places), slopes_of(asked.logits, soft_cap)
    slopes = None if slopes is None else slopes.gather(1, places)
    return LikelyChange(tokens, weights, centred, slopes)  # pyright: ignore[reportArgumentType]


def _spread_over(masses: Tensor, count: int) -> Tensor:
    """Places at even steps of the cumulated masses [rows, places]: [rows, count]."""
    cumulated = masses.cumsum(1)
    steps = (torch.arange(count, device=masses.device) + 0.5) / count
    found = torch.searchsorted(cumulated, (steps * cumulated[:, -1:]).contiguous())
    return found.clamp_max(masses.shape[1] - 1)
