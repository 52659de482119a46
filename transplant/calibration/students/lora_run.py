"""A LoRA that learns from a donor at one rate, and the text that judges it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from transplant.backbones.view import Backbone
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.taught_windows import TaughtWindows
from transplant.evaluation.likelihood import score_documents
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.start import new_lora
from transplant.surgery.lora.update import LoraUpdate, Pair
from transplant.text.windows import Window
from transplant.training.course import Course
from transplant.training.loop import WindowOrder
from transplant.training.optimizer import make_adamw, set_rate, take_step
from transplant.training.precision import matmul_type
from transplant.training.schedule import warmup_cosine


class Learner(Protocol):
    """A LoRA that is to learn, at its start: what of it moves is its own."""

    @property
    def moving(self) -> Sequence[nn.Parameter]:
        """What is trained."""
        ...

    def inside(self) -> AbstractContextManager[None]:
        """Has it at work in the target inside the block, with gradients."""
        ...

    def update(self) -> LoraUpdate:
        """What it is now; it learns no more."""
        ...


class PairsLearner:
    """Both matrices of every pair learn.

    Args:
        target: the frozen backbone.
        recipe: the shape.
        seed: of the pairs.

    Raises:
        InputError: the target has no such maps.
    """

    def __init__(self, target: Backbone, recipe: LoraRecipe, seed: int) -> None:
        self._begin(target, new_lora(target, recipe.rank, recipe.alpha, recipe.targets, seed=seed))

    @classmethod
    def of(cls, target: Backbone, update: LoraUpdate) -> Self:
        """The same from pairs that there are already, which stay as they are."""
        made = cls.__new__(cls)
        place = target.device
        pairs = {
            name: Pair(
                nn.Parameter(pair.a.detach().to(place, torch.float32, copy=True)),
                nn.Parameter(pair.b.detach().to(place, torch.float32, copy=True)),
                None, pair.scale,
            )
            for name, pair in update.pairs.items()
        }  # fmt: skip
        made._begin(target, LoraUpdate(pairs, {}))
        return made

    def _begin(self, target: Backbone, start: LoraUpdate) -> None:
        self._model = LoraModel("lora", target, start)
        both = (tensor for pair in start.pairs.values() for tensor in (pair.a, pair.b))
        self.moving = [tensor for tensor in both if isinstance(tensor, nn.Parameter)]

    def inside(self) -> AbstractContextManager[None]:
        """Has the pairs at work."""
        return self._model.inside()

    def update(self) -> LoraUpdate:
        """A copy of the pairs."""
        return still(self._model.update)


class LoraRun:
    """A LoRA and its course: the best of all looks is kept, the start included.

    Args:
        learner: at its start.
        taught: what it learns from.
        calibration: windows that choose the step.
        recipe: the shape and the course.
        rate: the peak rate.
        raw: the loss that it starts with on these windows, nats per token.
        seed: of the order.
    """

    def __init__(
        self,
        learner: Learner,
        taught: TaughtWindows,
        calibration: Sequence[Window],
        recipe: LoraRecipe,
        rate: float,
        raw: float,
        seed: int,
    ) -> None:
        self.learner, self.target = learner, taught.target
        self.taught, self.calibration, self.recipe, self.rate = taught, calibration, recipe, rate
        self.moving = [*learner.moving]
        self.optimizer = make_adamw(self.moving, rate, 0.0, (0.9, 0.98))
        self.order = WindowOrder(len(taught), 1, seed)
        self.precision = matmul_type(recipe.head_type, self.target.device)
        self.course = Course.starting_at(raw)
        self.best = learner.update()

    def advance(self, until: int, progress: Callable[[int, str], None]) -> None:
        """Learns to step `until`, or until looks at the calibration split stop being better.

        Args:
            until: a step.
            progress: is told of each step.

        Raises:
            NumericalError: a gradient that is not finite.
        """
        course, recipe = self.course, self.recipe
        until = min(until, recipe.steps)
        while course.goes_on(until, recipe.patience):
            set_rate(self.optimizer, self.rate * warmup_cosine(course.step, recipe.steps))
            loss = self._loss(self.order.batch(course.step)[0])
            loss.backward()
            take_step([self.optimizer], self.moving, recipe.clip, course.step)
            course.step += 1
            if course.step % recipe.evaluate_every == 0 or course.step == until:
                self._look()
            note = f"rate {self.rate:g}, loss {loss.item():.4f}, best {course.best_loss:.4f}"
            progress(course.step, note)

    def _loss(self, number: int) -> Tensor:
        some = self.taught.unit(number, self.precision)
        with self.learner.inside():
            states = self.target.run(some.windows)
        return some.loss(states.h_last)

    def _look(self) -> None:
        update = self.learner.update()
        loss = text_loss(self.target, LoraModel("lora", self.target, update), self.calibration)
        if self.course.look(loss):
            self.best = update


def text_loss(target: Backbone, model: LoraModel | None, windows: Sequence[Window]) -> float:
    """Mean next-token loss of a target on some text, in nats, with a LoRA at work or without."""
    return score_documents(target, windows, {"it": model})["it"].per_token


def still(update: LoraUpdate, gain: float = 1.0) -> LoraUpdate:
    """A copy that learns no more.

    Args:
        update: a LoRA of pairs.
        gain: the factor on each of them.
    """
    pairs = {
        name: Pair(pair.a.detach().clone(), pair.b.detach().clone(), None, gain * pair.scale)
        for name, pair in update.pairs.items()
    }
    return LoraUpdate(pairs, {})
