"""One number per correction: the factor on it, chosen on the calibration split."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from transplant.backbones.view import Backbone
from transplant.calibration.closed_form import LinearCorrection
from transplant.modules.correction import Correction
from transplant.text.windows import Window
from transplant.training.row_sources import RowSource, states_of

AnyCorrection = TypeVar("AnyCorrection", bound=Correction | LinearCorrection)


@torch.no_grad()
def choose_gain(
    backbone: Backbone,
    correction: Correction | LinearCorrection,
    text: Sequence[Window] | RowSource,
    gains: Sequence[float],
) -> tuple[float, float]:
    """The gain with the smallest loss on text, or its rows, which must not be evaluation text.

    Returns:
        (gain, loss in nats per token)
    """
    losses, rows = dict.fromkeys(gains, 0.0), 0
    correction = copy.deepcopy(correction).to(backbone.device)
    for states in states_of(backbone, text, correction.taps):
        change = correction(states.taps, states.windows)
        rows += len(states)
        for gain in gains:
            logits = backbone.head(states.h_last + gain * change).float()
            losses[gain] += nn.functional.cross_entropy(
                logits, states.labels, reduction="sum"
            ).item()
    best = min(losses, key=lambda gain: losses[gain])
    return best, losses[best] / rows


@torch.no_grad()
def scaled(correction: AnyCorrection, gain: float) -> AnyCorrection:
    """A copy whose output map is multiplied by `gain`; the domain module's bytes stay."""
    made = copy.deepcopy(correction)
    output = made.proj_out if isinstance(made, LinearCorrection) else made.interface.proj_out
    output.weight.mul_(gain)
    output.bias.mul_(gain)
    return made
