"""A loop in parts counts once: it is at its end when all of its parts are, and not before."""

from __future__ import annotations

from transplant.progress import part_of


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
