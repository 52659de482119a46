"""The students, by name, each fitted to one lesson."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from transplant.backbones.view import Backbone
from transplant.calibration.students.basis import fit_inside
from transplant.calibration.students.copy import fit_copy, pairs_for
from transplant.calibration.students.learned import Learned, TriedStudent
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.lora import fit_lora
from transplant.calibration.students.module_new import fit_module_new
from transplant.calibration.students.spec import AUTO, BASIS, COPY, LORA, learned_by
from transplant.calibration.tuning import Choice
from transplant.modules.linear import LinearCorrection
from transplant.progress import Progress, Reporter, SilentReporter

Fit = Callable[[Lesson, Choice[LinearCorrection], Progress | None], Learned]


def _linear(_: Lesson, linear: Choice[LinearCorrection], _progress: Progress | None) -> Learned:
    fitted = linear.calibrated
    return Learned("linear", fitted.correction, fitted.gain, fitted.loss)


FITS: dict[str, Fit] = {
    "linear": _linear, "module-new": fit_module_new, LORA: fit_lora, COPY: fit_copy,
    BASIS: fit_inside,
}  # fmt: skip


def slow_on(target: Backbone) -> tuple[str, ...]:
    """The students that would take long where a target is: a LoRA runs all of it at every step."""
    return (LORA,) if target.device.type == "cpu" else ()


def fit_student(
    name: str, lesson: Lesson, linear: Choice[LinearCorrection], *,
    reporter: Reporter | None = None,
) -> Learned:  # fmt: skip
    """Fits one student, or the one with the smallest loss on the calibration split.

    `auto` leaves out what is slow: ask for it by its name.

    Args:
        name: of `spec.STUDENTS`, or `auto`.
        lesson: what it learns from.
        linear: the linear student, from which others start.
        reporter: is told of the steps of each.

    Raises:
        InputError: no such student.
    """
    names, target = learned_by(name), lesson.pairing.target
    if name == AUTO and pairs_for(lesson.pairing.donor, target) is None:
        names = tuple(student for student in names if student != COPY)
    slow = slow_on(target) if name == AUTO else ()
    left_out = tuple(student for student in names if student in slow)
    found: list[Learned] = []
    for one in (student for student in names if student not in left_out):
        with (reporter or SilentReporter()).progress(f"the student {one}") as progress:
            found.append(FITS[one](lesson, linear, progress))
    tried = tuple(TriedStudent(one.student, one.gain, one.loss) for one in found)
    best = min(found, key=lambda one: one.loss)
    return dataclasses.replace(best, tried=tried, left_out=left_out)
