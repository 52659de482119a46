"""Names, needs and costs of the students; no torch here, so that the command line can read it."""

from __future__ import annotations

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


STUDENTS: dict[str, StudentSpec] = {
    "linear": StudentSpec(
        says="an affine map of the target's taps, in closed form",
        needs=(PAIRED,), cost="one linear solve; no gradient", kind="linear",
    ),
}  # fmt: skip


def student_of(name: str) -> StudentSpec:
    """The student of that name.

    Raises:
        InputError: there is none.
    """
    if name not in STUDENTS:
        raise InputError(f"`student={name!r}`", expected=f"one of {', '.join(STUDENTS)}")
    return STUDENTS[name]
