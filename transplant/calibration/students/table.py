"""The students, by name, each fitted to one lesson."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from transplant.backbones.view import Backbone
from transplant.calibration.move import movable_module
from transplant.calibration.students.basis import fit_inside
from transplant.calibration.students.copy import fit_copy, has_pairs
from transplant.calibration.students.learned import Learned, TriedStudent
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.lora import fit_lora
from transplant.calibration.students.module import fit_module
from transplant.calibration.students.module_new import fit_module_new
from transplant.calibration.students.spec import (
    AUTO,
    BASIS,
    COPY,
    LINEAR,
    LORA,
    MODULE,
    learned_by,
)
from transplant.calibration.tuning import Choice
from transplant.modules.linear import LinearCorrection
from transplant.progress import Progress, Reporter, SilentReporter

Fit = Callable[[Lesson, Choice[LinearCorrection], Progress | None], Learned]


def _linear(_: Lesson, linear: Choice[LinearCorrection], _progress: Progress | None) -> Learned:
    fitted = linear.calibrated
    return Learned(LINEAR, fitted.correction, fitted.gain, fitted.loss)


FITS: dict[str, Fit] = {
    LINEAR: _linear, "module-new": fit_module_new, LORA: fit_lora, COPY: fit_copy,
    BASIS: fit_inside, MODULE: fit_module,
}  # fmt: skip


def slow_on(target: Backbone) -> tuple[str, ...]:
    """The students that would take long where a target is: a LoRA runs all of it at every step."""
    return (LORA,) if target.device.type == "cpu" else ()


def fit_student(
    name: str, lesson: Lesson, linear: Choice[LinearCorrection], *,
    reporter: Reporter | None = None, linear_seconds: float = 0.0,
) -> Learned:  # fmt: skip
    """Fits one student, or the one with the smallest loss on the calibration split.

    `auto` tries each that the donor has what it needs for, and leaves out what is slow: ask for
    that by its name.

    Args:
        name: of `spec.STUDENTS`, or `auto`.
        lesson: what it learns from.
        linear: the linear student, from which others start.
        reporter: is told of the steps of each.
        linear_seconds: that the linear student took.

    Raises:
        InputError: no such student.
    """
    names, target = learned_by(name), lesson.pairing.target
    if name == AUTO:
        names = tuple(one for one in names if one not in _not_of(lesson))
    slow = slow_on(target) if name == AUTO else ()
    left_out = tuple(student for student in names if student in slow)
    found: list[Learned] = []
    seconds: list[float] = []
    for one in (student for student in names if student not in left_out):
        began = time.monotonic()
        with (reporter or SilentReporter()).progress(f"the student {one}") as progress:
            found.append(FITS[one](lesson, linear, progress))
        seconds.append(time.monotonic() - began + (linear_seconds if one == LINEAR else 0.0))
    tried = tuple(
        TriedStudent(one.student, one.gain, one.loss, spent)
        for one, spent in zip(found, seconds, strict=True)
    )
    best = min(found, key=lambda one: one.loss)
    return dataclasses.replace(best, tried=tried, left_out=left_out)


def _not_of(lesson: Lesson) -> tuple[str, ...]:
    """The students that a donor has not what they need for."""
    donor = lesson.pairing.donor
    needed = {
        COPY: has_pairs(donor, lesson.pairing.target, lesson.lora),
        MODULE: movable_module(donor) is not None,
    }
    return tuple(name for name, there in needed.items() if not there)
