"""Looks at what is held out: which is the best, and when patience ends."""

from __future__ import annotations

import math

import pytest

from transplant.training.course import Course


def looked(course, *losses):
    """What each look says, two steps apart."""
    said = []
    for loss in losses:
        course.step += 2
        said.append(course.look(loss))
    return said


def test_the_least_loss_is_kept_and_one_that_only_equals_it_is_in_vain():
    course = Course()
    assert looked(course, 3.0, 2.0, 2.0, 2.5) == [True, True, False, False]
    assert (course.best_loss, course.best_step, course.looks_without_gain) == (2.0, 4, 2)
    assert course.history == [[2, 3.0], [4, 2.0], [6, 2.0], [8, 2.5]]
    assert looked(course, 1.0) == [True]
    assert course.looks_without_gain == 0


def test_a_start_that_nothing_betters_is_the_best():
    course = Course.starting_at(2.0)
    assert looked(course, 2.5, math.nan, 2.0) == [False, False, False]
    assert (course.best_step, course.best_loss) == (0, 2.0)
    assert course.history[0] == [0, 2.0]
    assert looked(Course(), 2.5) == [True]  # control: without a start the first look is the best


@pytest.mark.parametrize(("patience", "goes_on"), [(1, False), (2, False), (3, True)])
def test_it_ends_with_its_steps_or_with_its_patience(patience, goes_on):
    course = Course.starting_at(1.0)
    looked(course, 2.0, 2.0)
    assert course.goes_on(5, patience) is goes_on
    assert not course.goes_on(4, 9)
