"""One number per correction: the factor on it, chosen on the calibration split.

Logits are linear in the factor, behind a soft cap too: two matrix products, of the raw hidden state
and of the correction, serve all factors, and the first of them all corrections.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from transplant.backbones.split_head import ROWS, SplitHead
from transplant.backbones.token_losses import token_losses
from transplant.backbones.view import Backbone
from transplant.calibration.gain_sums import GainSums
from transplant.modules.correction import Correction
from transplant.modules.linear import LinearCorrection
from transplant.ranks import current
from transplant.text.windows import Window
from transplant.training.row_sources import RowSource, states_of

AnyCorrection = TypeVar("AnyCorrection", bound=Correction | LinearCorrection)


@dataclass(frozen=True)
class GainCurve:
    """The mean loss on some text at some factors, and its slope."""

    gains: tuple[float, ...]
    losses: tuple[float, ...]  # nats per token
    slopes: tuple[float, ...] | None = None  # nats per token and unit of the gain

    @property
    def best(self) -> tuple[float, float]:
        """The factor of those measured with the smallest loss, and that loss."""
        best = min(range(len(self.gains)), key=lambda number: self.losses[number])
        return self.gains[best], self.losses[best]

    @property
    def solved(self) -> tuple[float, float]:
        """The factor between the ends at which the loss is smallest, and that loss.

        The loss is convex in the factor, so at most one interval holds a slope of 0; there the
        cubic through both values and slopes is followed.
        """
        if self.slopes is None:
            return self.best
        points = sorted(zip(self.gains, self.losses, self.slopes, strict=True))
        for left, right in itertools.pairwise(points):
            if left[2] < 0 < right[2]:
                return _lowest(left, right)
        return self.best


def _lowest(
    left: tuple[float, float, float], right: tuple[float, float, float]
) -> tuple[float, float]:
    """Where the cubic Hermite interpolant is lowest; each end is (gain, loss, slope)."""
    width = right[0] - left[0]
    first, last = width * left[2], width * right[2]
    rise = right[1] - left[1]
    # loss(s) = l + first s + b s^2 + c s^3 for s in [0, 1]
    b, c = 3 * rise - 2 * first - last, first + last - 2 * rise
    # The root of first + 2 b s + 3 c s^2 at which it grows; stable where c is next to nothing.
    s = -first / (b + math.sqrt(max(0.0, b * b - 3 * c * first)))
    return left[0] + s * width, left[1] + s * (first + s * (b + s * c))


def choose_gain(
    backbone: Backbone,
    correction: Correction | LinearCorrection,
    text: Sequence[Window] | RowSource,
    gains: Sequence[float],
    *,
    solve: bool = False,
) -> tuple[float, float]:
    """The gain with the smallest loss on text, or its rows, which must not be evaluation text.

    Returns:
        (gain, loss in nats per token)
    """
    return choose_gains(backbone, {"": correction}, text, gains, solve=solve)[""]


@torch.no_grad()
def choose_gains(
    backbone: Backbone,
    corrections: Mapping[str, Correction | LinearCorrection],
    text: Sequence[Window] | RowSource,
    gains: Sequence[float],
    *,
    solve: bool = False,
) -> dict[str, tuple[float, float]]:
    """The same for several corrections; the backbone and its head run once for all of them.

    Args:
        backbone: the frozen language model.
        corrections: by name.
        text: windows, or their rows, which must not be evaluation text.
        gains: what is tried.
        solve: whether the best gain between those tried is solved for, where the head can be split.
    """
    curves = gain_curves(backbone, corrections, text, gains, slopes=solve)
    return {name: curve.solved if solve else curve.best for name, curve in curves.items()}


@torch.no_grad()
def gain_curves(
    backbone: Backbone,
    corrections: Mapping[str, Correction | LinearCorrection],
    text: Sequence[Window] | RowSource,
    gains: Sequence[float],
    *,
    slopes: bool = False,
) -> dict[str, GainCurve]:
    """The mean loss of some text with each correction at each gain.

    Of several processes each reads its share of the text; all have the same curves.

    Args:
        backbone: the frozen language model.
        corrections: by name.
        text: windows, or their rows.
        gains: the factors.
        slopes: whether the slopes are measured too; for heads that can be split.
    """
    moved = {name: copy.deepcopy(one).to(backbone.device) for name, one in corrections.items()}
    taps = sorted({tap for one in moved.values() for tap in one.taps})
    head, ranks = backbone.split_head, current()
    rows = torch.zeros(1, dtype=torch.float64)
    sums = {name: torch.zeros(2, len(gains), dtype=torch.float64) for name in moved}
    for states in states_of(backbone, text, taps, ranks):
        rows += len(states)
        changes = [one(states.taps, states.windows) for one in moved.values()]
        if head is None:
            found = _dense(backbone, states.h_last, changes, states.labels, gains)
        else:
            found = _in_pieces(head, states.h_last, changes, states.labels, gains, slopes)
        for name, part in zip(moved, found, strict=True):
            sums[name] += part.double().cpu()
    ranks.sum(rows, *sums.values())
    with_slopes = slopes and head is not None
    return {
        name: GainCurve(
            tuple(gains),
            tuple((total[0] / rows).tolist()),
            tuple((total[1] / rows).tolist()) if with_slopes else None,
        )
        for name, total in sums.items()
    }


def _dense(
    backbone: Backbone,
    hidden: Tensor,
    changes: Sequence[Tensor],
    labels: Tensor,
    gains: Sequence[float],
) -> list[Tensor]:
    """Sums of losses, [2, gains] for each change; no slopes."""
    found = []
    for change in changes:
        losses = [
            token_losses(backbone, hidden + gain * change, labels).double().sum() for gain in gains
        ]
        found.append(torch.stack([torch.stack(losses), torch.zeros_like(torch.stack(losses))]))
    return found


def _in_pieces(
    head: SplitHead,
    hidden: Tensor,
    changes: Sequence[Tensor],
    labels: Tensor,
    gains: Sequence[float],
    slopes: bool,
) -> list[Tensor]:
    """Sums of losses and of their slopes, [2, gains] for each change."""
    found = [torch.zeros(2, len(gains), dtype=torch.float64, device=hidden.device) for _ in changes]
    for start in range(0, len(hidden), ROWS):
        block = slice(start, start + ROWS)
        sums = [GainSums(labels[block], gains, head.soft_cap, slopes=slopes) for _ in changes]
        for tokens in head.pieces():
            raw = head.products(hidden[block], tokens)
            if head.bias is not None:
                raw = raw.float() + head.bias[tokens]
            for change, one in zip(changes, sums, strict=True):
                one.add(raw, head.products(change[block], tokens), tokens)
        for total, one in zip(found, sums, strict=True):
            total[0] += one.losses.double().sum(1)
            if slopes:
                total[1] += one.slopes.double().sum(1)
    return found


@torch.no_grad()
def scaled(correction: AnyCorrection, gain: float) -> AnyCorrection:
    """A copy whose output map is multiplied by `gain`; the domain module's bytes stay."""
    made = copy.deepcopy(correction)
    output = made.proj_out if isinstance(made, LinearCorrection) else made.interface.proj_out
    output.weight.mul_(gain)
    output.bias.mul_(gain)
    return made
