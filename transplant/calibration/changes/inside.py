"""The change that is wanted inside a donor's token: how those of its tokens go on that fit.

p0 and p1, the donor without and with what it learned, at its last boundary, of the tokens that
begin with the bytes read since: what is left of each is pushed forward to the target's tokens
(`alignment.continuations`), and compared there as a way compares whole tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

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

    donor: SplitHead
    target: SplitHead | None  # None where `Within.target` holds all of its tokens
    continuations: Continuations
    soft_cap: float | None = None
    """Of the target's head."""


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
    for same in _by_bytes(within, read, heads):
        asked = same.asked(2 * likely)
        change = same.change(asked, way, weights)
        target, cap = same.within.target, heads.soft_cap
        parts.append(keep_likely(target, asked, change, likely, rest, cap))
        order.append(same.rows)
    found = LikelyChange.joined(parts)
    return found.at(torch.cat(order).argsort(), found.change.device)


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
    for same in _by_bytes(within, read, heads):
        label = labels[same.rows, None]
        of_label = same.logits(label)
        asked = with_labels(same.asked(2 * likely), label, of_label)
        change = same.change(asked, way, weights)
        losses = changed_losses(same.within.target, asked, change, of_label, gains)
        for name, loss in losses.items():
            found[name][same.rows] = loss
    return found


@dataclass(frozen=True)
class _SameBytes:
    """Rows behind which the same tokens of the donor go on."""

    rows: Tensor  # their numbers [rows]
    within: Within
    heads: Heads
    continued: Continued

    @cached_property
    def pushed(self) -> Tensor:
        """M p0 and M p1 [2, rows, images] of the tokens that go on."""
        head, h = self.heads.donor.of(self.continued.tokens), self.within.h_donor
        own, change = head.of_all(h), head.change_of_all(h, self.within.correction)
        p = torch.stack([own, own + change]).softmax(-1)
        pushed = p.new_zeros(2, len(own), len(self.continued.images))
        return pushed.index_add_(2, self.continued.columns, p)

    def logits(self, tokens: Tensor) -> Tensor:
        """The raw logits of each row's own tokens [rows, k]."""
        if self.heads.target is None:
            return self.within.target.logits.gather(1, tokens)
        return self.heads.target.at(self.within.h_target, tokens)

    def asked(self, count: int) -> AskedTokens:
        """The target's likely tokens, and those that the donor's are most likely to go on with."""
        target, images = self.within.target, self.continued.images
        if self.heads.target is None or not len(images):
            return AskedTokens(target.tokens, target.logits)
        best = self.pushed.amax(0).topk(min(count, len(images)), dim=1, sorted=False).indices
        theirs = images[best]  # [rows, count]
        known = (theirs[:, :, None] == target.tokens[:, None]).any(2)
        logits = self.logits(theirs).masked_fill(known, -torch.inf)
        return AskedTokens(
            torch.cat([target.tokens, theirs], dim=1), torch.cat([target.logits, logits], dim=1)
        )

    def change(self, asked: AskedTokens, way: Way, weights: ChangeWeights) -> tuple[Tensor, Tensor]:
        """The change at these tokens by the class of each, and whether there is one."""
        tokens, places = asked.tokens.unique(return_inverse=True)
        columns = self.heads.continuations.classes(tokens.tolist(), self.continued)
        columns = torch.tensor(columns)[places]
        known, none = columns >= 0, self.pushed.new_zeros(*self.pushed.shape[:2], 1)
        classes = torch.where(known, columns, len(self.continued.images))
        p0, p1 = torch.cat([self.pushed, none], dim=2).gather(2, classes.expand(2, -1, -1))
        q = (asked.logits - self.within.target.total[:, None]).exp()
        masses = Masses((p0, p1), (p0, p1), class_sums(classes, q, classes), known)
        return way.of_masses(masses, weights), known


def _by_bytes(within: Within, read: Sequence[bytes], heads: Heads) -> Iterator[_SameBytes]:
    """The rows with the same bytes, some at a time."""
    of_bytes: dict[bytes, list[int]] = {}
    for row, text in enumerate(read):
        of_bytes.setdefault(text, []).append(row)
    for text, same in of_bytes.items():
        for rows in torch.tensor(same).split(AT_ONCE):
            yield _SameBytes(rows, within[rows], heads, heads.continuations.after(text))
