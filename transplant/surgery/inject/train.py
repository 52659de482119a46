"""Training bridges to match what a target's own part adds, and then the gate on the next token.

Only bridges and gate move: the donor's part and the backbone are frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from transplant.backbones.view import Backbone
from transplant.errors import NumericalError
from transplant.surgery.inject.config import BridgeTrainConfig
from transplant.surgery.inject.graft import Graft
from transplant.surgery.inject.hosted import InjectedModel
from transplant.surgery.inject.streams import Stream
from transplant.text.windows import Window, batches
from transplant.training.loop import Progress, WindowOrder
from transplant.training.optimizer import make_adamw
from transplant.training.schedule import warmup_cosine


@dataclass
class Course:
    """How a run went: (step, loss on the calibration side) of each look, and the best of them."""

    history: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0

    @property
    def best(self) -> float:
        """The smallest loss that was seen."""
        return min(loss for _, loss in self.history)


@dataclass(frozen=True)
class _Plan:
    """What `_descend` needs: parameters with their rates, steps, and two ways to measure."""

    rates: Sequence[tuple[nn.Module, float]]
    steps: int
    loss: Callable[[int], Tensor]
    held: Callable[[], float]


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

    plan = _Plan([(graft.bridges, config.learning_rate)], config.steps, loss, look)
    return _descend(plan, config, progress)


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
    order = WindowOrder(len(train), config.lm_batch, config.seed)
    grafts = [injection.graft for injection in model.injections]
    rates: list[tuple[nn.Module, float]] = [(graft.gate, config.gate_rate) for graft in grafts]
    if bridges:
        rates += [(graft.bridges, config.lm_rate) for graft in grafts]

    def loss(step: int) -> Tensor:
        return _next_token(model, [train[index] for index in order.batch(step)])[0]

    def look() -> float:
        total, count = 0.0, 0
        with torch.no_grad():
            for batch in batches(held):
                mean, rows = _next_token(model, [held[index] for index in batch])
                total, count = total + float(mean) * rows, count + rows
        return total / count

    return _descend(_Plan(rates, config.lm_steps, loss, look), config, progress)


def imbalance(graft: Graft, stream: Stream) -> Tensor:
    """K sum_k (mean share)^2 - 1: 0 where all specialists are used alike, K - 1 where one is."""
    mean = graft.bridges.shares(stream.rows(stream.x)).mean(0)
    return len(mean) * mean.pow(2).sum() - 1.0


@torch.no_grad()
def mean_shares(graft: Graft, streams: Sequence[Stream]) -> list[float]:
    """The share of the work that each specialist has."""
    shares = [graft.bridges.shares(stream.rows(stream.x)) for stream in streams]
    return torch.cat(shares).mean(0).tolist()


def _next_token(model: InjectedModel, windows: Sequence[Window]) -> tuple[Tensor, int]:
    """Mean loss in nats with gradients, and the rows that it is over."""
    backbone: Backbone = model.backbone
    with model.inside():
        states = backbone.run(windows).labelled()
    logits = backbone.head(states.h_last).float()
    return nn.functional.cross_entropy(logits, states.labels), len(states)


def _variance(streams: Sequence[Stream]) -> float:
    rows = torch.cat([stream.rows(stream.added) for stream in streams])
    return max(float(rows.var(0, correction=0).mean()), 1e-12)


def _descend(plan: _Plan, config: BridgeTrainConfig, progress: Progress | None) -> Course:
    """AdamW with warm-up and cosine; ends with the best of all looks, the start included."""
    modules = [module for module, _ in plan.rates]
    optimizers = [make_adamw(m.parameters(), rate, 0.0, (0.9, 0.98)) for m, rate in plan.rates]
    parameters = [parameter for module in modules for parameter in module.parameters()]
    course = Course([(0, plan.held())])
    best = _snapshot(modules)
    for step in range(plan.steps):
        factor = warmup_cosine(step, plan.steps, warmup=config.warmup)
        loss = plan.loss(step)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, config.clip)
        if not torch.isfinite(norm):
            raise NumericalError(
                f"the gradient is not finite at step {step}", hint="a smaller learning rate"
            )
        for optimizer, (_, rate) in zip(optimizers, plan.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad()
        if (step + 1) % config.evaluate_every == 0 or step + 1 == plan.steps:
            held = plan.held()
            if held < course.best:
                best, course.best_step = _snapshot(modules), step + 1
            course.history.append((step + 1, held))
        if progress is not None:
            progress(step + 1, plan.steps, f"loss {loss.item():.3f}, best held {course.best:.3f}")
    for module, tensors in zip(modules, best, strict=True):
        module.load_state_dict(tensors)
    return course


def _snapshot(modules: Sequence[nn.Module]) -> list[dict[str, Tensor]]:
    return [{k: v.detach().clone() for k, v in m.state_dict().items()} for m in modules]
