"""The course of a move's steps: at its end when the work is, and never before."""

from __future__ import annotations

import pytest

from tests.calibration.tuned_scene import CONFIG, tuned_scene
from transplant.calibration import tuning
from transplant.calibration.move import pair_for_move
from transplant.calibration.students import controls as of_students
from transplant.calibration.students import module_new
from transplant.calibration.students.linear import fit_linear


class Course:
    """What was told; at every look so far there was something left to do."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def __call__(self, step: int, total: int, note: str, /) -> None:
        assert note
        self.told.append((step, total))

    def look(self) -> None:
        assert all(step < total for step, total in self.told)

    def check_ended(self) -> None:
        steps, totals = zip(*self.told, strict=True)
        assert list(steps) == sorted(steps)
        assert {*totals} == {steps[-1]}


@pytest.fixture(scope="module")
def scene(text, tiny_texts):
    return tuned_scene(text, tiny_texts, two_heads=False)


@pytest.fixture
def course(monkeypatch):
    """A course that is looked at whenever gains are chosen, which comes last."""
    followed = Course()
    for module, name in (
        (tuning, "choose_gains"), (of_students, "choose_gains"), (module_new, "choose_gain"),
    ):  # fmt: skip
        choose = getattr(module, name)

        def looked(*args, choose=choose, **options):
            followed.look()
            found = choose(*args, **options)
            followed.look()
            return found

        monkeypatch.setattr(module, name, looked)
    return followed


def test_pairing_counts_the_excerpts_of_both_sides_once(scene, text):
    course, donor, target = Course(), scene.donor, scene.target
    pair_for_move(donor, target, text, scene.counts, CONFIG, progress=course)
    course.check_ended()
    assert course.told[-1][0] > CONFIG.held_out_excerpts


def test_students_and_controls_are_at_their_end_when_their_gains_are_chosen(scene, course):
    linear = fit_linear(scene.lesson, progress=course)
    course.check_ended()
    assert course.told[-1] == (2, 2)  # one way to try, and the choice
    course.told.clear()
    of_students.student_controls(scene.lesson, linear, progress=course)
    course.check_ended()
    assert course.told[-1][1] == 3


def test_a_new_module_is_at_its_end_when_its_gain_is_chosen(scene, course, monkeypatch):
    few = module_new.dataclasses.replace(module_new.LEARN, steps=4, evaluate_every=2)
    monkeypatch.setattr(module_new, "LEARN", few)
    linear = fit_linear(scene.lesson)
    module_new.fit_module_new(scene.lesson, linear, course)
    course.check_ended()
    assert [step for step, _ in course.told] == [1, 2, 3, 4, 5]
