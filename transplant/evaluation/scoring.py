"""The logits of one window: what the NIB compares."""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.evaluation.likelihood import Corrector
from transplant.modules.hosted import HostedModel
from transplant.text.windows import Window


@torch.no_grad()
def window_logits(backbone: Backbone, correction: Corrector | None, window: Window) -> Tensor:
    """Logits [positions, vocab] of every position of a window, with the correction where given."""
    states = backbone.read([window], () if correction is None else correction.taps)
    hidden = states.h_last
    if correction is not None:
        hidden = hidden + correction(states.taps, states.windows)
    return backbone.head(hidden).float()


def hosted_logits(model: HostedModel, window: Window) -> Tensor:
    """The same of a hosted model, wherever in the backbone its change happens."""
    with model.inside():
        return window_logits(model.backbone, model.corrector, window)
