"""The output side of a repair: what the updated backbone shall say with the module attached.

With the old module attached the old backbone said `logits_old + change`. What the updated one lost
on the domain is wanted back with the module: `word` times the difference of the two backbones. The
output map is solved for in closed form, as a move solves for it; whether that helps, and how strong
the ridge should be, is chosen on the domain's calibration split.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from transplant.alignment.affine import AffineMap
from transplant.alignment.logits import LikelyChange, fit_to_changes, likely_change
from transplant.backbones.split_head import SplitHead
from transplant.backbones.token_losses import token_losses
from transplant.backbones.view import Backbone
from transplant.calibration.config import RepairConfig
from transplant.calibration.large_vocabulary import LOGITS_AT_ONCE
from transplant.calibration.repair_rows import Pairs
from transplant.modules.correction import Correction
from transplant.text.windows import Window
from transplant.training.row_sources import states_of


@dataclass(frozen=True)
class TriedOutput:
    """One way to the output map, and what it gives on the calibration split."""

    word: float | None
    """Weight of log p_old - log p_new; None for the ridge to the old correction."""
    ridge: float | None
    """Of the fit to changes of logits."""
    loss: float
    """Nats per token."""


def refit_to_changes(
    before: Backbone,
    after: Backbone,
    old: Correction,
    new: Correction,
    pairs: Sequence[Pairs],
    calibration: Sequence[Window],
    config: RepairConfig,
) -> tuple[Correction, tuple[TriedOutput, ...]]:
    """Tries every word and strength beside what there is, and keeps the best.

    Args:
        before: the backbone that the interface was made for.
        after: the same after an update.
        old: interface and module as they were.
        new: the same, repaired so far.
        pairs: rows to fit on.
        calibration: windows of the domain that decide.
        config: what is tried.
    """
    ways: list[tuple[float | None, float | None]] = [(None, None)]
    made = [new]
    linear = new.interface.proj_out
    start = AffineMap(linear.weight.T.clone(), linear.bias.clone())
    head = after.unembedding.cpu().float()
    outputs = [new.module.y(new.interface.normed(rows.t_after)) for rows in pairs]
    for word in config.words:
        changes = [_wanted(before, after, old, rows, word, config.likely_tokens) for rows in pairs]
        for ridge in config.logit_ridges:
            one = copy.deepcopy(new)
            fit_to_changes(
                outputs, changes, head, start, strength=ridge, iterations=config.iterations
            ).write_to(one.interface.proj_out)
            ways.append((word, ridge))
            made.append(one)
    losses = _losses(after, made, calibration)
    tried = tuple(TriedOutput(*way, loss) for way, loss in zip(ways, losses, strict=True))
    return made[losses.index(min(losses))], tried


def _wanted(
    before: Backbone, after: Backbone, old: Correction, rows: Pairs, word: float, likely: int
) -> LikelyChange:
    """The change of the updated backbone's logits that is wanted, on each row's likely tokens."""
    size = max(1, LOGITS_AT_ONCE // after.vocab_size)
    bias = before.head_bias
    bias = None if bias is None else bias.cpu()
    head = SplitHead(before.unembedding.cpu().float(), bias, before.soft_cap)
    correction = old.interface.write_out(old.module.y(old.interface.normed(rows.t_before)))
    parts = []
    for c, ours, theirs in zip(
        *(side.split(size) for side in (correction, rows.h_before, rows.h_after)), strict=True
    ):
        said, says = (
            backbone.head(h.to(backbone.device, backbone.unembedding.dtype)).cpu().float()
            for backbone, h in ((before, ours), (after, theirs))
        )
        change = head.change_of_all(ours, c) + word * (said - says)
        parts.append(likely_change(says, change, likely, after.soft_cap))
    return LikelyChange.joined(parts)


def _losses(
    after: Backbone, corrections: Sequence[Correction], windows: Sequence[Window]
) -> list[float]:
    """Nats per token of the updated backbone with each correction; the backbone runs once."""
    totals, rows = [0.0] * len(corrections), 0
    for states in states_of(after, windows, corrections[0].taps):
        rows += len(states)
        for number, correction in enumerate(corrections):
            change = correction.to(after.device)(states.taps, states.windows)
            losses = token_losses(after, states.h_last + change, states.labels)
            totals[number] += losses.double().sum().item()
    for correction in corrections:
        correction.cpu()
    return [total / rows for total in totals]
