"""Progress on stderr: a bar with rate and time left, or a plain line every ten seconds."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from commands import courses
from commands.courses import Courses
from commands.output import Output
from transplant.progress import EVERY_S
from transplant.text.windows import batches
from transplant.training import row_sources


def test_where_stderr_is_no_terminal_lines_come_even_if_nothing_is_reported():
    assert EVERY_S == 10
    text = io.StringIO()
    followed = Courses(Console(file=text, force_terminal=False, width=20), every=0.05)
    with followed.follow("outer [1]"):
        time.sleep(0.12)
        with followed.follow("inner, a title that is longer than the console") as course:
            course(1, 10, "")
            time.sleep(0.03)
            course(3, 10, "")
            time.sleep(0.12)
        time.sleep(0.12)
    lines = text.getvalue().splitlines()
    assert lines[0] == "outer [1]: 0:00 so far"
    assert any(re.match(r"inner, a title.* console: 3/10, .*/s, 0:0\d left", it) for it in lines)
    assert lines[-1] == lines[0]
    count = len(lines)
    time.sleep(0.1)
    assert len(text.getvalue().splitlines()) == count  # nothing once it has ended


class Terminal(io.StringIO):
    """Text that a terminal shows."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_bars_that_nest_and_go():
    text = Terminal()
    followed = Courses(Console(file=text, force_terminal=True, width=120))

    def work() -> None:
        with followed.follow("outer"), followed.follow("inner") as course:
            course(1, 4, "loss 1")
            time.sleep(0.02)
            course(2, 4, "loss 1")
            course.show()
            followed._bars.refresh()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert "inner" in text.getvalue()
    assert "2/4, " in text.getvalue()
    assert "left" in text.getvalue()
    assert followed._bars is None
    with followed.follow("again"):
        assert len(followed._tasks) == 1


@pytest.mark.parametrize("setting", ["FORCE_COLOR", "TERM"])
def test_a_coloured_file_and_a_terminal_without_a_cursor_get_lines(setting, monkeypatch):
    """CI sets FORCE_COLOR: its logs are no terminals."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(setting, {"FORCE_COLOR": "1", "TERM": "dumb"}[setting])
    text = io.StringIO() if setting == "FORCE_COLOR" else Terminal()
    console = Console(file=text, width=120, highlight=False)
    assert console.is_terminal
    with Courses(console, every=0.01).follow("outer") as course:
        course(1, 4, "")
        time.sleep(0.05)
    assert "outer: 1/4" in text.getvalue()
    assert "\x1b[2K" not in text.getvalue()
    bars = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    with Courses(Console(file=bars, width=120)).follow("outer"):  # control
        time.sleep(0.02)
    assert "\x1b[2K" in bars.getvalue()
    first = bars.getvalue().partition("outer")[0]
    assert "━" not in first  # a bar has its title from its first frame on


def test_quiet_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr(courses, "EVERY_S", 0.01)
    with Output(quiet=True).progress("x") as progress:
        progress(1, 2, "")
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


def test_hidden_states_are_followed_before_the_first_step(abi, monkeypatch):
    def slowly(windows):
        for batch in batches(windows, 1024):
            time.sleep(0.03)
            yield batch

    monkeypatch.setattr(Courses.__init__, "__defaults__", (0.02,))
    monkeypatch.setattr(row_sources, "batches", slowly)
    ran = abi.train("tiny-gpt2", "--steps", "2")
    assert ran.code == 0
    lines = ran.err.splitlines()
    read = [line for line in lines if line.startswith("hidden states of tiny-gpt2: ")]
    assert re.match(r".*: \d+/\d+, .*/s, \d:\d\d left \(windows\)", read[-1])
    assert not any(line.startswith("training tales@") for line in lines[: lines.index(read[-1])])


def test_a_verb_that_is_piped_writes_lines(abi, monkeypatch):
    monkeypatch.setattr(Courses.__init__, "__defaults__", (0.02,))
    ran = abi.train("tiny-gpt2")
    assert ran.code == 0
    assert re.search(r"^training tales@tiny-gpt2: \d+/20, .*/s, \d:\d\d left", ran.err, re.M)
    assert ran.json["steps"] == 20
