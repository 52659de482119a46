"""The logits of one window: what the NIB compares."""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.evaluation.likelihood import Corrector
from transplant.evaluation.logit_rows import LogitRows
from transplant.modules.hosted import HostedModel
from transplant.text.windows import Window


@torch.no_grad()
def window_logits(backbone: Backbone, correction: Corrector | None, window: Window) -> Tensor:
    """Logits [positions, vocab] of every position of a window, with the correction where given."""
    return window_rows(backbone, correction, window).dense().float()


@torch.no_grad()
def window_rows(backbone: Backbone, correction: Corrector | None, window: Window) -> LogitRows:
    """The same, to be computed for some positions at a time."""
    states = backbone.read([window], () if correction is None else correction.taps)
    hidden = states.h_last
    if correction is not None:
        hidden = hidden + correction(states.taps, states.windows)
    return LogitRows(hidden, backbone.head, backbone.vocab_size)


def hosted_rows(model: HostedModel, window: Window) -> LogitRows:
    """The same of a hosted model, wherever in the backbone its change happens."""

    def head(hidden: Tensor) -> Tensor:
        with model.inside():
            return model.backbone.head(hidden)

    with model.inside():
        read = window_rows(model.backbone, model.corrector, window)
    return LogitRows(read.hidden, head, model.backbone.vocab_size)
