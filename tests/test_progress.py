"""What is said of a loop; one in parts is at its end when all of them are, and not before."""

from __future__ import annotations

import time

import pytest

from transplant.progress import Course, Lines, part_of, span_text


def test_parts_count_on_to_the_end_of_the_whole():
    seen = []
    whole = lambda *told: seen.append(told)  # noqa: E731
    first, second = part_of(whole, 0, 10, 14), part_of(whole, 10, 4, 14)
    for step in range(1, 21):  # it counts twice as many
        first(step, 20, "read")
    for step in range(1, 3):  # and this one half
        second(step, 2, "solved")
    steps = [done for done, _, _ in seen]
    assert steps == sorted(steps)
    assert steps[19:] == [10, 12, 14]
    assert {total for _, total, _ in seen} == {14}
    assert seen[-1] == (14, 14, "solved")


def test_a_part_without_steps_and_one_that_nobody_follows():
    seen = []
    part_of(lambda *told: seen.append(told), 3, 2, 9)(0, 0, "")
    part_of(None, 3, 2, 9)(1, 1, "")
    assert seen == [(3, 9, "")]


class Clock:
    """A clock that is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_says_what_how_far_how_fast_and_how_long():
    clock = Clock()
    course = Course("training x", clock)
    clock.now += 30
    assert course.line() == "training x: 0:30 so far"
    course(1, 1000, "")
    clock.now += 10
    course(80, 1000, "loss 2.1")
    assert course.line() == "training x: 80/1,000, 2/s, 7:40 left (loss 2.1)"
    course(1000, 1000, "")
    assert course.line() == "training x: 1,000/1,000, 25/s, 0:00 left"


def test_a_run_that_resumes_does_not_count_what_another_did():
    clock = Clock()
    course = Course("x", clock)
    course(900, 1000, "")
    assert course.line() == "x: 900/1,000"
    clock.now += 5
    course(950, 1000, "")
    assert course.line() == "x: 950/1,000, 10/s, 0:05 left"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7325, "2:02:05")]
)
def test_spans_of_time(seconds, said):
    assert span_text(seconds) == said


def test_lines_tell_of_the_innermost_loop_and_end_with_it():
    told: list[str] = []
    lines = Lines(told.append, every=0.02)
    with lines.follow(Course("outer")):
        time.sleep(0.1)
        with lines.follow(Course("inner")):
            time.sleep(0.1)
    count = len(told)
    time.sleep(0.1)
    assert told[0].startswith("outer: ")
    assert any(line.startswith("inner: ") for line in told)
    assert len(told) == count


def test_lines_that_nobody_reads_do_not_end_the_work():
    tried: list[str] = []

    def refuse(line: str) -> None:
        tried.append(line)
        raise BrokenPipeError

    with Lines(refuse, every=0.02).follow(Course("loop")):
        time.sleep(0.1)
    assert len(tried) > 1
