"""Training bridges to match what a target's own part adds, and then the gate on the next token.

Only bridges and gate move: the donor's part and the backbone are frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from transplant.progress import Progress
from transplant.surgery.inject.config import BridgeTrainConfig
from transplant.surgery.inject.graft import Graft
from transplant.surgery.inject.hosted import InjectedModel
from transplant.surgery.inject.streams import Stream
from transplant.surgery.next_token import text_plan
from transplant.text.windows import Window
from transplant.training.course import Course
from transplant.training.descent import Plan, descend
from transplant.training.loop import WindowOrder


def train_to_match(
    graft: Graft,
    batch_of: Callable[[list[int]], Stream],
    windows: int,
    held: Sequence[Stream],
    config: BridgeTrainConfig,
    *,
    progress: Progress | None = None,
) -> Course:
    """Trains the bridges so that the donor path adds what the target's own part adds.

    The loss is the mean squared error over rows, as a share of the variance of what is added, and
    for several specialists a penalty on their unequal use: K sum_k (mean m_k)^2 - 1.

    Args:
        graft: its bridges are trained in place; the best look is kept.
        batch_of: reads windows by number.
        windows: how many there are.
        held: what the looks compare on.
        config: the recipe.
        progress: called after each step.
    """
    order = WindowOrder(windows, config.batch, config.seed)
    scale = _variance(held)

    def loss(step: int) -> Tensor:
        stream = batch_of(order.batch(step))
        found = stream.rows(graft.donor(stream.x, stream.span))
        error = nn.functional.mse_loss(found, stream.rows(stream.added)) / scale
        return error + config.balance * imbalance(graft, stream)

    def look() -> float:
        with torch.no_grad():
            errors = [
                (stream.rows(graft.donor(stream.x, stream.span)) - stream.rows(stream.added)).pow(2)
                for stream in held
            ]
        return float(torch.cat(errors).mean()) / scale

    plan = Plan([(graft.bridges, config.learning_rate)], config.steps, loss, look)
    return descend(plan, config, progress)


def train_on_text(
    model: InjectedModel,
    train: Sequence[Window],
    held: Sequence[Window],
    config: BridgeTrainConfig,
    *,
    bridges: bool = True,
    progress: Progress | None = None,
) -> Course:
    """Trains gates, and bridges where asked for, on the next-token loss of the whole model.

    The start takes part in the choice of the best look, so that what is kept is no worse on the
    calibration side than what there was.

    Args:
        model: its grafts are trained in place.
        train: windows to learn from.
        held: windows of the calibration side.
        config: the recipe.
        bridges: whether bridges move as well.
        progress: called after each step.
    """
    grafts = [injection.graft for injection in model.injections]
    rates: list[tuple[nn.Module, float]] = [(graft.gate, config.gate_rate) for graft in grafts]
    if bridges:
        rates += [(graft.bridges, config.lm_rate) for graft in grafts]

    order = WindowOrder(len(train), config.lm_batch, config.seed)
    plan = text_plan(model, rates, config.lm_steps, train, held, order)
    return descend(plan, config, progress)


def imbalance(graft: Graft, stream: Stream) -> Tensor:
    """K sum_k (mean share)^2 - 1: 0 where all specialists are used alike, K - 1 where one is."""
    mean = graft.bridges.shares(stream.rows(stream.x)).mean(0)
    return len(mean) * mean.pow(2).sum() - 1.0


@torch.no_grad()
def mean_shares(graft: Graft, streams: Sequence[Stream]) -> list[float]:
    """The share of the work that each specialist has."""
    shares = [graft.bridges.shares(stream.rows(stream.x)) for stream in streams]
    return torch.cat(shares).mean(0).tolist()


def _variance(streams: Sequence[Stream]) -> float:
    rows = torch.cat([stream.rows(stream.added) for stream in streams])
    return max(float(rows.var(0, correction=0).mean()), 1e-12)
