"""A plain descent: AdamW over parts with rates of their own, and the best look is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from torch import Tensor, nn

from transplant.losses import LossNote
from transplant.progress import Progress
from transplant.training.course import Course
from transplant.training.optimizer import make_adamw, set_rate, take_step
from transplant.training.schedule import warmup_cosine


@dataclass(frozen=True)
class Plan:
    """What `descend` needs: parameters with their rates, steps, and two ways to measure."""

    rates: Sequence[tuple[nn.Module, float]]
    steps: int
    loss: Callable[[int], Tensor]
    held: Callable[[], float]
    learned: Callable[[int], None] = lambda _step: None
    """Called behind each step, as long as its gradient is there."""


class Pace(Protocol):
    """What a configuration says of a descent."""

    @property
    def warmup(self) -> float:
        """Share of the steps spent warming up."""
        ...

    @property
    def clip(self) -> float:
        """Largest gradient norm."""
        ...

    @property
    def evaluate_every(self) -> int:
        """Steps between looks."""
        ...


def descend(plan: Plan, config: Pace, progress: Progress | None = None) -> Course:
    """AdamW with warm-up and cosine; ends with the best of all looks, the start included.

    Raises:
        NumericalError: a gradient that is not finite.
    """
    modules = [module for module, _ in plan.rates]
    optimizers = [make_adamw(m.parameters(), rate, 0.0, (0.9, 0.98)) for m, rate in plan.rates]
    parameters = [parameter for module in modules for parameter in module.parameters()]
    course = Course.starting_at(plan.held())
    best = _snapshot(modules)
    for step in range(plan.steps):
        factor = warmup_cosine(step, plan.steps, warmup=config.warmup)
        loss = plan.loss(step)
        loss.backward()
        for optimizer, (_, rate) in zip(optimizers, plan.rates, strict=True):
            set_rate(optimizer, rate * factor)
        take_step(optimizers, parameters, config.clip, step, moved=partial(plan.learned, step))
        course.step, seen = step + 1, None
        if (step + 1) % config.evaluate_every == 0 or step + 1 == plan.steps:
            seen = plan.held()
            if course.look(seen):
                best = _snapshot(modules)
        if progress is not None:
            progress(step + 1, plan.steps, LossNote(loss.item(), course.best_loss, held=seen))
    for module, tensors in zip(modules, best, strict=True):
        module.load_state_dict(tensors)
    return course


def _snapshot(modules: Sequence[nn.Module]) -> list[dict[str, Tensor]]:
    return [{k: v.detach().clone() for k, v in m.state_dict().items()} for m in modules]
