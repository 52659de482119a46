"""The factor on a LoRA that suits the calibration split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from transplant.backbones.view import Backbone
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.lora_run import still, text_loss
from transplant.errors import InputError
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.update import LoraUpdate
from transplant.text.windows import Window
from transplant.training.row_sources import RowSource


def judging_windows(lesson: Lesson) -> Sequence[Window]:
    """The windows of the calibration split.

    Raises:
        InputError: only their rows are known, in which nothing works inside the target.
    """
    if isinstance(lesson.calibration, RowSource):
        raise InputError("the student lora needs the text that chooses its gain", found="its rows")
    return lesson.calibration


def lora_gain(
    target: Backbone,
    update: LoraUpdate,
    windows: Sequence[Window],
    gains: Sequence[float],
    known: Mapping[float, float],
) -> tuple[float, float]:
    """The factor on a LoRA with the smallest loss, and that loss; see `nearest_best`.

    Args:
        target: the frozen backbone.
        update: the LoRA.
        windows: of the calibration split.
        gains: the factors.
        known: losses at some of them.
    """

    def loss_at(gain: float) -> float:
        return text_loss(target, LoraModel("lora", target, still(update, gain)), windows)

    return nearest_best(loss_at, gains, known)


def nearest_best(
    loss_at: Callable[[float], float], gains: Sequence[float], known: Mapping[float, float]
) -> tuple[float, float]:
    """The factor with the smallest loss, and that loss, from the one next to 1 on.

    What is inside a model has no loss of a straight line, so each factor costs a pass; neighbours
    are looked at as long as they are better.

    Args:
        loss_at: of a factor.
        gains: the factors.
        known: losses at some of them.
    """
    losses, ordered = dict(known), sorted(gains)

    def at(place: int) -> float:
        gain = ordered[place]
        if gain not in losses:
            losses[gain] = loss_at(gain)
        return losses[gain]

    place = min(range(len(ordered)), key=lambda number: abs(ordered[number] - 1))
    while True:
        near = [number for number in (place - 1, place + 1) if 0 <= number < len(ordered)]
        best = min(near, key=at, default=place)
        if at(best) >= at(place):
            return ordered[place], at(place)
        place = best
