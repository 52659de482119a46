"""One piece of work at a time, with an end."""

from __future__ import annotations

import time

import pytest

from transplant.errors import InputError, NotFoundError
from transplant.studio.desk import DONE, FAILED, KEPT, STOPPED, BusyError, Desk


def wait_for(desk, work):
    task = desk.begin("kind", "title", {}, work)
    desk.wait(5)
    return task


def endless(task):
    while True:
        task.check()
        time.sleep(0.005)


def fail(error):
    def work(_task):
        raise error

    return work


def test_a_result_an_error_and_a_fault_are_told_apart():
    desk = Desk(60)
    assert (wait_for(desk, lambda _: 3).state, wait_for(desk, lambda _: 3).result) == (DONE, 3)
    named = wait_for(desk, fail(InputError("x", expected="y")))
    assert (named.state, named.error) == (FAILED, "x: expected y")
    fault = wait_for(desk, fail(ZeroDivisionError("by what")))
    assert (fault.state, "ZeroDivisionError: by what" in fault.error) == (FAILED, True)


def test_what_takes_too_long_is_stopped_where_it_reports():
    task = wait_for(Desk(0.05), endless)
    assert (task.state, "longer than it may" in task.error) == (STOPPED, True)
    assert task.seconds < 2


def test_a_second_one_waits_for_nobody():
    desk = Desk(60)
    desk.begin("kind", "the first", {}, endless)
    with pytest.raises(BusyError, match="the first"):
        desk.begin("kind", "the second", {}, endless)
    desk.close()
    assert desk.running is None


def test_the_last_results_alone_are_kept():
    desk = Desk(60)
    tasks = [wait_for(desk, lambda _: 1) for _ in range(KEPT + 1)]
    assert desk.get(tasks[-1].id) is tasks[-1]
    with pytest.raises(NotFoundError):
        desk.get(tasks[0].id)


def test_the_course_of_a_loop_is_a_line():
    def work(task):
        with task.progress("reading") as progress:
            progress(3, 1200, "rows")
        return task.note_

    assert wait_for(Desk(60), work).result == "reading: 3/1,200 rows"
