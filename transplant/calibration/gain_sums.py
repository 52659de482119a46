"""Losses of some rows at several gains at once, from pieces of their logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from transplant.backbones.split_head import at_least_single, cached_rows, capped, pick_labels

LARGEST = (
    20.0  # a change of a logit, in nats, up to which exp(logit) and exp(change) are multiplied
)


class GainSums:
    """Losses of `raw + gain * added`, piece by piece of the vocabulary, and their slopes.

    exp(raw + g added) of one gain is that of the last gain times exp((g - g_last) added), which is
    the same wherever two gains lie as far apart: few exponentials serve many gains. Where changes
    are so large that this would overflow, each gain is summed up by itself.

    Args:
        labels: the next tokens [rows].
        gains: in any order.
        soft_cap: of the head.
        slopes: whether slopes are summed up too.
    """

    def __init__(
        self, labels: Tensor, gains: Sequence[float], soft_cap: float | None, *, slopes: bool
    ) -> None:
        self.labels, self.gains, self.soft_cap = labels, tuple(gains), soft_cap
        self._of_label = torch.zeros(2, len(labels), device=labels.device)  # of raw and added
        shape = (len(self.gains), len(labels))
        self._total = torch.full(shape, -torch.inf, device=labels.device)
        self._rise = torch.zeros(shape, device=labels.device) if slopes else None

    def add(self, raw: Tensor, added: Tensor, tokens: slice) -> None:
        """Takes in a piece: raw logits and what a gain of 1 adds, [rows, tokens], before a cap.

        In any type; sums are in single precision at least.
        """
        pick_labels(self._of_label[0], raw, self.labels, tokens)
        pick_labels(self._of_label[1], added, self.labels, tokens)
        for rows in cached_rows(raw):
            self._add_rows(at_least_single(raw[rows]), at_least_single(added[rows]), rows)

    def _add_rows(self, raw: Tensor, added: Tensor, rows: slice) -> None:
        spread = float(added.abs().max()) * max(map(abs, self.gains))
        small = self.soft_cap is None and spread <= LARGEST
        walk = self._multiplied(raw, added) if small else self._one_by_one(raw, added)
        for number, total, rise in walk:
            before = self._total[number, rows].clone()
            after = torch.logaddexp(before, total)
            self._total[number, rows] = after
            if self._rise is not None and rise is not None:
                kept, new = ((part - after).exp_() for part in (before, total))
                self._rise[number, rows] = self._rise[number, rows] * kept + rise * new

    def _multiplied(
        self, raw: Tensor, added: Tensor
    ) -> Iterator[tuple[int, Tensor, Tensor | None]]:
        """(number of the gain, log sum exp [rows], mean rise [rows]) of a piece."""
        order = sorted(range(len(self.gains)), key=self.gains.__getitem__)
        largest = raw.amax(1)
        last = self.gains[order[0]]
        weights = torch.add(raw, added, alpha=last).sub_(largest[:, None]).exp_()
        steps: dict[float, Tensor] = {}
        for number in order:
            step = self.gains[number] - last
            if step:
                if step not in steps:
                    steps[step] = torch.mul(added, step).exp_()
                weights.mul_(steps[step])
            last = self.gains[number]
            total = weights.sum(1)
            rise = None if self._rise is None else (weights * added).sum(1) / total
            yield number, total.log() + largest, rise

    def _one_by_one(
        self, raw: Tensor, added: Tensor
    ) -> Iterator[tuple[int, Tensor, Tensor | None]]:
        for number, gain in enumerate(self.gains):
            logits, rises = self._at(gain, raw, added)
            rise = None if self._rise is None else (logits.softmax(1) * rises).sum(1)
            yield number, logits.logsumexp(1), rise

    def _at(self, gain: float, raw: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
        """Logits at a gain, and their derivatives by it."""
        logits = torch.add(raw, added, alpha=gain)
        if self.soft_cap is None:
            return logits, added
        logits = capped(logits, self.soft_cap)
        return logits, added * (1 - (logits / self.soft_cap).square())

    @property
    def losses(self) -> Tensor:
        """-log p of the labels in nats [gains, rows]."""
        return self._total - torch.stack([self._at(g, *self._of_label)[0] for g in self.gains])

    @property
    def slopes(self) -> Tensor:
        """Derivatives of the losses by the gain [gains, rows]: E_p[rise] less the label's rise."""
        assert self._rise is not None
        return self._rise - torch.stack([self._at(g, *self._of_label)[1] for g in self.gains])
