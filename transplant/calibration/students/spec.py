"""Names, needs and costs of the students; no torch here, so that the command line can read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transplant.calibration.objectives.spec import PAIRED
from transplant.errors import InputError


@dataclass(frozen=True, kw_only=True)
class StudentSpec:
    """One student, without its mathematics."""

    says: str
    """What it is, in one line."""
    needs: tuple[str, ...]
    """What it cannot do without."""
    cost: str
    """What takes the time."""
    kind: str
    """The artifact that it is stored as."""


LINEAR, MODULE, LORA = "linear", "module", "lora"
BASIS, COPY, AUTO = "basis", "copy", "auto"
DONORS_MODULE = "a donor that is a module"
SAME_MAPS = "a donor that is a LoRA or a full fine-tune, and a target with the maps that it changes"
RANKED_BASIS = "a basis of the target that has ranks"
STUDENTS: dict[str, StudentSpec] = {
    LINEAR: StudentSpec(
        says="an affine map of the target's taps, in closed form",
        needs=(PAIRED,), cost="one linear solve; no gradient", kind="linear",
    ),
    "module-new": StudentSpec(
        says="a new domain module: P_out in closed form, then all of it by donor-kd",
        needs=(PAIRED,), cost="200 gradient steps over interface, module and head", kind="module",
    ),
    LORA: StudentSpec(
        says="a LoRA on every linear map of the target but its head, by donor-kd; it starts from"
        " the donor's own where `copy` is of use",
        needs=(PAIRED,), kind="adapter",
        cost="up to 300 gradient steps through all of the target, and 40 for each other rate",
    ),
    COPY: StudentSpec(
        says="the donor's own LoRA as it is, or what a full fine-tune changed of its linear maps,"
        " cut to the rank of a LoRA: for a new version of its base",
        needs=(SAME_MAPS,), cost="a few readings of calibration text; no gradient", kind="adapter",
    ),
    BASIS: StudentSpec(
        says="C alone of an adapter inside the directions of a basis of the target, by donor-kd",
        needs=(RANKED_BASIS, PAIRED), kind="basis", cost="the steps of a LoRA",
    ),
    MODULE: StudentSpec(
        says="the donor's own domain module, bit for bit, behind a new interface",
        needs=(DONORS_MODULE, PAIRED), cost="three linear solves; no gradient", kind="module",
    ),
}  # fmt: skip
"""By name; `auto` takes the one with the smallest loss on the calibration split, of those that the
donor has what they need for."""
WHY_SLOW = "every step of it runs all of the target, which is slow on a CPU"
"""Why a student is left out by `auto` where it is not named."""


def how_to_ask(student: str) -> str:
    """For a student that `auto` leaves out, in one line."""
    return f"`student={student!r}` asks for it, `students` names all that are to be tried"


def student_of(name: str) -> StudentSpec:
    """The student of that name.

    Raises:
        InputError: there is none.
    """
    if name not in STUDENTS:
        raise InputError(f"`student={name!r}`", expected=f"one of {', '.join((*STUDENTS, AUTO))}")
    return STUDENTS[name]


def learned_by(name: str) -> tuple[str, ...]:
    """The students that may be fitted where one is asked for; a module alone is moved, not taught.

    Raises:
        InputError: there is none of that name, or it needs a module.
    """
    if name == AUTO:
        return tuple(student for student in STUDENTS if student != BASIS)
    if student_of(name).needs[0] == DONORS_MODULE:
        raise InputError(
            f"`student={name!r}` needs {DONORS_MODULE}", found="a tuned copy of a base",
            hint=f"`student={AUTO!r}`, or `transfer(module='NAME@BACKBONE')`",
        )  # fmt: skip
    return (name,)


def candidates_of(name: str, students: Sequence[str] | None = None) -> tuple[str, ...]:
    """The students that may be fitted, where `auto` may be told which it is to try.

    Args:
        name: of a student, or `auto`.
        students: of `auto`: the students that are tried; None for all.

    Raises:
        InputError: there is none of that name, `students` beside another than `auto`, one in it
            that cannot be tried beside others, or none.
    """
    every = learned_by(name)
    if students is None:
        return every
    if name != AUTO:
        raise InputError(f"`students` belongs to `student={AUTO!r}`", found=name)
    unknown = [one for one in students if one not in every]
    if unknown or not students:
        raise InputError(
            "`students`", expected=f"of {', '.join(every)}", found=", ".join(unknown) or "none",
            hint=f"`student={BASIS!r}`, which is not tried beside others"
            if BASIS in unknown else None,
        )  # fmt: skip
    return tuple(dict.fromkeys(students))


def kinds_of(students: Sequence[str]) -> tuple[str, ...]:
    """The kinds of artifact that one of some students may be stored as."""
    return tuple(dict.fromkeys(student_of(student).kind for student in students))
