"""The students, by name, each fitted to one lesson."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.spec import learned_by
from transplant.calibration.tuning import Choice
from transplant.modules.correction import Correction
from transplant.modules.linear import LinearCorrection
from transplant.progress import Progress


@dataclass(frozen=True)
class TriedStudent:
    """One student that was tried."""

    student: str
    gain: float
    """The factor on its correction."""
    loss: float
    """Nats per token on the calibration split."""


@dataclass(frozen=True)
class Learned:
    """A student at work on the target, with its gain, and all that were tried."""

    student: str
    correction: Correction | LinearCorrection
    gain: float
    loss: float
    """Nats per token on the calibration split."""
    tried: tuple[TriedStudent, ...] = ()
    facts: dict[str, Any] | None = None
    """How it was learned."""


Fit = Callable[[Lesson, Choice[LinearCorrection], Progress | None], Learned]


def _linear(_: Lesson, linear: Choice[LinearCorrection], _progress: Progress | None) -> Learned:
    fitted = linear.calibrated
    return Learned("linear", fitted.correction, fitted.gain, fitted.loss)


FITS: dict[str, Fit] = {"linear": _linear}


def fit_student(
    name: str, lesson: Lesson, linear: Choice[LinearCorrection], *,
    progress: Progress | None = None,
) -> Learned:  # fmt: skip
    """Fits one student, or the one with the smallest loss on the calibration split.

    Args:
        name: of `spec.STUDENTS`, or `auto`.
        lesson: what it learns from.
        linear: the linear student, from which others start.
        progress: is told of the steps.

    Raises:
        InputError: no such student.
    """
    found = [FITS[student](lesson, linear, progress) for student in learned_by(name)]
    tried = tuple(TriedStudent(one.student, one.gain, one.loss) for one in found)
    return dataclasses.replace(min(found, key=lambda one: one.loss), tried=tried)
