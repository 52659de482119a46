"""The students, by name, each fitted to one lesson."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

from transplant.backbones.view import Backbone
from transplant.calibration.move import movable_module
from transplant.calibration.students.basis import fit_inside
from transplant.calibration.students.copy import fit_copy, has_pairs
from transplant.calibration.students.learned import Learned, TriedStudent
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.lora import fit_lora
from transplant.calibration.students.module import fit_module
from transplant.calibration.students.module_new import fit_module_new
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.spec import (
    AUTO,
    BASIS,
    COPY,
    LINEAR,
    LORA,
    MODULE,
    STUDENTS,
    WHY_SLOW,
    candidates_of,
    how_to_ask,
)
from transplant.calibration.tuning import Choice
from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
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
    students: Sequence[str] | None = None, reporter: Reporter | None = None,
    linear_seconds: float = 0.0,
) -> Learned:  # fmt: skip
    """Fits one student, or the one with the smallest loss on the calibration split.

    `auto` tries each that the donor has what it needs for, and leaves out what is slow, which it
    says; of `students` it tries all.

    Args:
        name: of `spec.STUDENTS`, or `auto`.
        lesson: what it learns from.
        linear: the linear student, from which others start.
        students: of `auto`: the students that are tried.
        reporter: is told of the steps of each.
        linear_seconds: that the linear student took.

    Raises:
        InputError: no such student, or one that the donor has not what it needs for.
    """
    names, pairing = candidates_of(name, students), lesson.pairing
    told, slow = reporter or SilentReporter(), ()
    if name == AUTO and students is None:
        without = impossible(pairing.donor, pairing.target, lesson.lora)
        names, slow = tuple(one for one in names if one not in without), slow_on(pairing.target)
    left_out = tuple(student for student in names if student in slow)
    for one in left_out:
        told.note(f"the student {one} is not tried: {WHY_SLOW}; {how_to_ask(one)}")
    found: list[Learned] = []
    seconds: list[float] = []
    for one in (student for student in names if student not in left_out):
        began = time.monotonic()
        with told.progress(f"the student {one}") as progress:
            found.append(FITS[one](lesson, linear, progress))
        seconds.append(time.monotonic() - began + (linear_seconds if one == LINEAR else 0.0))
    tried = tuple(
        TriedStudent(one.student, one.gain, one.loss, spent)
        for one, spent in zip(found, seconds, strict=True)
    )
    best = min(found, key=lambda one: one.loss)
    return dataclasses.replace(best, tried=tried, left_out=left_out)


def check_named(
    students: Sequence[str], donor: HostedModel, target: Backbone, recipe: LoraRecipe
) -> None:
    """Refuses students that were named and that the donor has not what they need for.

    Raises:
        InputError: it names the first of them, and what it needs.
    """
    without = impossible(donor, target, recipe) if students else ()
    for one in without:
        if one in students:
            raise InputError(
                f"`students`: {one} needs {STUDENTS[one].needs[0]}", found=donor.name
            )  # fmt: skip


def impossible(donor: HostedModel, target: Backbone, recipe: LoraRecipe) -> tuple[str, ...]:
    """The students that a donor has not what they need for."""
    needed = {
        COPY: has_pairs(donor, target, recipe), MODULE: movable_module(donor) is not None,
    }  # fmt: skip
    return tuple(name for name, there in needed.items() if not there)
