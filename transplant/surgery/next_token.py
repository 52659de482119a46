"""The next-token loss of a backbone in which something works, to train what works there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from transplant.modules.hosted import HostedModel
from transplant.text.windows import Window, batches
from transplant.training.descent import Plan
from transplant.training.loop import WindowOrder
from transplant.training.losses import next_token_loss


def text_plan(
    model: HostedModel,
    rates: Sequence[tuple[nn.Module, float]],
    steps: int,
    train: Sequence[Window],
    held: Sequence[Window],
    order: WindowOrder,
) -> Plan:
    """A descent on the next token.

    Args:
        model: what works inside its backbone has the parameters that move.
        rates: these, with their rates.
        steps: of the descent.
        train: windows to learn from.
        held: windows of the calibration side.
        order: which windows each step sees.
    """

    def loss(step: int) -> Tensor:
        return _next_token(model, [train[index] for index in order.batch(step)])[0]

    def look() -> float:
        total, count = 0.0, 0
        with torch.no_grad():
            for batch in batches(held):
                mean, rows = _next_token(model, [held[index] for index in batch])
                total, count = total + float(mean) * rows, count + rows
        return total / count

    return Plan(rates, steps, loss, look)


def _next_token(model: HostedModel, windows: Sequence[Window]) -> tuple[Tensor, int]:
    """Mean loss in nats with gradients, and the rows that it is over."""
    with model.inside():
        states = model.backbone.run(windows).labelled()
    return next_token_loss(model.backbone, states.h_last, states.labels), len(states)
