"""The change that is wanted inside a donor's token: how those of its tokens go on that fit.

p0 and p1, the donor without and with what it learned, at its last boundary, of the tokens that
begin with the bytes read since: what is left of each is pushed forward to the target's tokens
(`alignment.continuations`), and compared there as a way compares whole tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.continuations import Continuations, Continued
from transplant.alignment.likely import LikelyTokens
from transplant.alignment.logits import LikelyChange
from transplant.alignment.push_forward import class_sums
from transplant.backbones.split_head import SplitHead
from transplant.calibration.changes.likely import changed_losses, keep_likely, with_labels
from transplant.calibration.changes.way import AskedTokens, ChangeWeights, Masses, Way

AT_ONCE = 256  # rows with the same bytes


@dataclass(frozen=True)
class Within:
    """Rows of the target inside tokens of the donor, and the donor's row before each."""

    h_donor: Tensor  # [rows, d_donor]
    correction: Tensor  # of the donor, through what it learned [rows, d_donor]
    h_target: Tensor  # [rows, d_target]
    target: LikelyTokens  # with nothing changed

    def __getitem__(self, rows: Tensor) -> Within:
        return Within(
            self.h_donor[rows], self.correction[rows], self.h_target[rows], self.target[rows]
        )


@dataclass(frozen=True)
class Heads:
    """How the tokens of a donor go on as tokens of the target."""

    donor: Tensor  # U of the donor [vocab_donor, d_donor]
    target: SplitHead | None  # None where `Within.target` holds all of its tokens
    continuations: Continuations


@torch.no_grad()
def changes_inside(
    within: Within, read: Sequence[bytes], heads: Heads, way: Way, weights: ChangeWeights,
    *, likely: int, rest: int = 0,
) -> LikelyChange:  # fmt: skip
    """The change of the target's logits that is wanted inside tokens of the donor.

    Where no token of the donor goes on, nothing is.

    Args:
        within: the rows.
        read: the bytes that the target has read since the donor's row, of each.
        heads: the two vocabularies.
        way: how a change is carried over.
        weights: of its parts.
        likely: tokens to keep of each row, twice as many of the donor's are candidates.
        rest: tokens that stand for all others, see `likely_changes`.
    """
    order, parts = [], []
    for rows, continued in _by_bytes(read, heads.continuations):
        some = within[rows]
        pushed = _pushed(some, heads.donor, continued)
        asked = _asked(some, heads.target, pushed, continued, 2 * likely)
        masses = _masses(some.target, asked, pushed, continued, heads.continuations)
        change = way.of_masses(masses, weights), masses.known
        parts.append(keep_likely(some.target, asked, change, likely, rest))
        order.append(rows)
    columns = (torch.cat(column) for column in zip(*parts, strict=True))
    back = torch.cat(order).argsort()
    return LikelyChange(*(column[back] for column in columns))


@torch.no_grad()
def label_losses_inside(
    within: Within, read: Sequence[bytes], labels: Tensor, heads: Heads, way: Way,
    weights: ChangeWeights, gains: Mapping[str, float], *, likely: int,
) -> dict[str, Tensor]:  # fmt: skip
    """-log p of each row's next token with that change at some gains, in nats [rows].

    Args:
        within: the rows.
        read: the bytes that the target has read since the donor's row, of each.
        labels: the next tokens [rows].
        heads: the two vocabularies.
        way: how a change is carried over.
        weights: of its parts.
        gains: factors on the change, by name.
        likely: twice as many of the donor's tokens are candidates.
    """
    found = {name: labels.new_zeros(len(labels), dtype=torch.float32) for name in gains}
    for rows, continued in _by_bytes(read, heads.continuations):
        some, label = within[rows], labels[rows, None]
        pushed = _pushed(some, heads.donor, continued)
        asked = _asked(some, heads.target, pushed, continued, 2 * likely)
        of_label = (
            some.target.logits.gather(1, label)
            if heads.target is None
            else heads.target.at(some.h_target, label)
        )
        asked = with_labels(asked, label, of_label)
        masses = _masses(some.target, asked, pushed, continued, heads.continuations)
        change = way.of_masses(masses, weights), masses.known
        losses = changed_losses(some.target, asked, change, of_label, gains)
        for name, loss in losses.items():
            found[name][rows] = loss
    return found


def _by_bytes(
    read: Sequence[bytes], continuations: Continuations
) -> Iterator[tuple[Tensor, Continued]]:
    """Rows with the same bytes, some at a time, and how the donor's tokens go on behind these."""
    of_bytes: dict[bytes, list[int]] = {}
    for row, text in enumerate(read):
        of_bytes.setdefault(text, []).append(row)
    for text, same in of_bytes.items():
        for rows in torch.tensor(same).split(AT_ONCE):
            yield rows, continuations.after(text)


def _pushed(rows: Within, donor_head: Tensor, continued: Continued) -> Tensor:
    """M p0 and M p1 [2, rows, images] of the tokens that go on."""
    vectors = donor_head[continued.tokens].float()
    own, change = rows.h_donor.float() @ vectors.T, rows.correction.float() @ vectors.T
    p = torch.stack([own, own + change]).softmax(-1)
    pushed = p.new_zeros(2, len(own), len(continued.images))
    return pushed.index_add_(2, continued.columns, p)


def _asked(
    rows: Within, head: SplitHead | None, pushed: Tensor, continued: Continued, count: int
) -> AskedTokens:
    """The target's likely tokens, and those that the donor's are most likely to go on with."""
    target = rows.target
    if head is None or not len(continued.images):
        return AskedTokens(target.tokens, target.logits)
    best = pushed.amax(0).topk(min(count, len(continued.images)), dim=1, sorted=False).indices
    theirs = continued.images[best]  # [rows, count]
    known = (theirs[:, :, None] == target.tokens[:, None]).any(2)
    logits = head.at(rows.h_target, theirs).masked_fill(known, -torch.inf)
    return AskedTokens(
        torch.cat([target.tokens, theirs], dim=1), torch.cat([target.logits, logits], dim=1)
    )


def _masses(
    target: LikelyTokens,
    asked: AskedTokens,
    pushed: Tensor,
    continued: Continued,
    continuations: Continuations,
) -> Masses:
    """Those of the tokens that are asked for, by the class of each."""
    tokens, places = asked.tokens.unique(return_inverse=True)
    columns = torch.tensor(continuations.classes(tokens.tolist(), continued))[places]
    known, none = columns >= 0, pushed.new_zeros(*pushed.shape[:2], 1)
    classes = torch.where(known, columns, len(continued.images))
    p0, p1 = torch.cat([pushed, none], dim=2).gather(2, classes.expand(2, -1, -1))
    q = (asked.logits - target.total[:, None]).exp()
    return Masses((p0, p1), (p0, p1), class_sums(classes, q, classes), known)
