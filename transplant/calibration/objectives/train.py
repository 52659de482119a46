"""One loop for every objective that learns: the interface is trained, a new module where asked."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.config import EVERYTHING, LearnConfig
from transplant.calibration.objectives.shared_step import Subject, add_up, part_of_loss
from transplant.calibration.objectives.table import Loss
from transplant.losses import LossNote
from transplant.modules.correction import Correction
from transplant.progress import Progress
from transplant.ranks import current
from transplant.training.course import Course
from transplant.training.loop import WindowOrder
from transplant.training.optimizer import make_adamw, set_rate, take_step
from transplant.training.precision import matmul_type
from transplant.training.schedule import SCHEDULES


@dataclass(frozen=True)
class Learnt:
    """The best correction by what was held out, and the course of the learning."""

    correction: Correction
    course: Course


def learn(
    start: Correction,
    subjects: Sequence[Subject],
    held: Sequence[Batch],
    config: LearnConfig,
    *,
    progress: Progress | None = None,
) -> Learnt:
    """Calibrates an interface by gradient steps; the start itself is among what may be kept.

    Several processes share every step. Adam, warm-up and schedule, gradient clipping, and where
    `config.pull` is not 0 a spring to the starting interface. The first subject's loss on `held`
    decides when to stop and what is kept.

    Args:
        start: the interface to begin with, and the module, which stays; it is copied, not changed.
        subjects: what to learn from; a step takes a batch of each.
        held: what to judge on.
        config: the recipe.
        progress: called after each step.

    Raises:
        NumericalError: a gradient that is not finite.
    """
    correction = copy.deepcopy(start).requires_grad_(False).eval()
    moving = _moving(correction, config.train)
    first = [parameter.detach().clone() for parameter in moving]
    ranks = current()
    optimizer = make_adamw(moving, config.learning_rate, 0.0, (0.9, 0.98))
    precision = matmul_type(config.head_type, next(correction.parameters()).device)
    orders = [WindowOrder(len(one.batches), config.batch, config.seed) for one in subjects]
    judged = subjects[0].loss
    course = Course.starting_at(mean_of(judged, correction, held, 1.0))
    best = _snapshot(correction)
    while course.goes_on(config.steps, config.patience):
        rate = SCHEDULES[config.schedule](course.step, config.steps)
        set_rate(optimizer, config.learning_rate * rate)
        value = config.pull * _distance(moving, first) / ranks.count
        for subject, order in zip(subjects, orders, strict=True):
            units, done = order.batch(course.step), course.step / config.steps
            loss = part_of_loss(subject, correction, units, done, precision, ranks)
            value = value + subject.weight * loss
        value.backward()
        loss = add_up(moving, value, ranks)
        take_step([optimizer], moving, config.clip, course.step)
        course.step += 1
        due = course.step % config.evaluate_every == 0 or course.step == config.steps
        seen = mean_of(judged, correction, held, 1.0) if due else None
        if seen is not None and course.look(seen):
            best = _snapshot(correction)
        if progress is not None:
            note = LossNote(loss, course.best_loss, held=seen, nats=False)
            progress(course.step, config.steps, note)
    correction.load_state_dict(best)
    return Learnt(correction.requires_grad_(False), course)


@torch.no_grad()
def mean_of(loss: Loss, correction: Correction, batches: Sequence[Batch], done: float) -> float:
    """The mean of an objective over all rows of some batches; several processes take turns."""
    total, rows, ranks = 0.0, 0, current()
    for batch in (batches[number] for number in ranks.turns(len(batches))):
        change = correction(batch.states.taps, batch.states.windows)
        total += loss(batch, change, done).item() * len(batch)
        rows += len(batch)
    total, count = ranks.total(total, rows)
    return total / count


def _moving(correction: Correction, train: str) -> list[nn.Parameter]:
    parts = {"p-out": correction.interface.proj_out, EVERYTHING: correction}
    part = parts.get(train, correction.interface)
    return [*part.requires_grad_(True).parameters()]


def _distance(moving: list[nn.Parameter], first: list[Tensor]) -> Tensor:
    pairs = zip(moving, first, strict=True)
    return torch.stack([(now - then).square().sum() for now, then in pairs]).sum()


def _snapshot(correction: Correction) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in correction.state_dict().items()}
