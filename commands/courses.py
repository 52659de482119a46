"""The course of long work on stderr: a bar on a terminal, else a plain line every 10 seconds."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.text import Text

EVERY_S = 10.0
SHOWN_S = 0.1  # between two updates of a bar


class Course:
    """How far one loop is; it satisfies `transplant`'s `Progress` protocol.

    Args:
        title: what is being done.
        clock: seconds, from any beginning.
    """

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self._clock = title, clock
        self.step, self.total, self.note = 0, 0, ""
        self._began, self._first = clock(), 0
        self.show: Callable[[], None] | None = None
        self._shown = float("-inf")

    def __call__(self, step: int, total: int, note: str, /) -> None:
        """Step `step` of `total` is done."""
        now = self._clock()
        if not self.total:  # a run that resumes does not begin at 0
            self._began, self._first = (now, step) if step > 1 else (self._began, 0)
        self.step, self.total, self.note = step, total, note
        if self.show is not None and now - self._shown >= SHOWN_S:
            self._shown = now
            self.show()

    @property
    def rate(self) -> float | None:
        """Steps in a second; None while none was made."""
        seconds, made = self._clock() - self._began, self.step - self._first
        return made / seconds if made > 0 and seconds > 0 else None

    def facts(self) -> str:
        """How far it is, how fast, and how long it will take; how long it has taken, if no more."""
        if not self.total:
            return f"{_span(self._clock() - self._began)} so far"
        facts = f"{self.step:,}/{self.total:,}"
        if self.rate is not None:
            left = max(0, self.total - self.step) / self.rate
            facts += f", {_rate(self.rate)}, {_span(left)} left"
        return facts

    def line(self) -> str:
        """All of it on one line."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.title}: {self.facts()}{note}"


class Courses:
    """All loops that a run is in, the innermost last.

    Args:
        console: of stderr.
        every: seconds between two lines where it is no terminal.
    """

    def __init__(self, console: Console, every: float = EVERY_S) -> None:
        self._console, self._every = console, every
        self._running: list[Course] = []
        self._bars: Progress | None = None
        self._tasks: dict[TaskID, Course] = {}
        self._stop = threading.Event()

    @contextmanager
    def follow(self, title: str) -> Iterator[Course]:
        """Shows the course of one loop until the block ends."""
        course = Course(title)
        self._running.append(course)
        shown = self._bar if self._console.is_terminal else self._lines
        try:
            with shown(course):
                yield course
        finally:
            self._running.remove(course)

    @contextmanager
    def _bar(self, course: Course) -> Iterator[None]:
        outermost = self._bars is None
        if self._bars is None:
            columns = (_Of(self._tasks, "title"), BarColumn(24), _Of(self._tasks, "facts"))
            self._bars = Progress(*columns, console=self._console, transient=True)
            self._bars.start()
        bars = self._bars
        task = bars.add_task("", total=None)
        self._tasks[task] = course
        course.show = lambda: bars.update(task, completed=course.step, total=course.total)
        try:
            yield
        finally:
            bars.remove_task(task)
            del self._tasks[task]
            if outermost:
                bars.stop()
                self._bars = None

    @contextmanager
    def _lines(self, _course: Course) -> Iterator[None]:
        if len(self._running) > 1:  # the lines are of whatever is innermost
            yield
            return
        self._stop = stop = threading.Event()
        teller = threading.Thread(target=self._tell, args=(stop,), daemon=True)
        teller.start()
        try:
            yield
        finally:
            stop.set()
            teller.join()

    def _tell(self, stop: threading.Event) -> None:
        while not stop.wait(self._every):
            running = [*self._running]
            if running:
                with contextlib.suppress(OSError, ValueError):  # nobody reads it
                    self._console.print(escape(running[-1].line()), soft_wrap=True)


class _Of(ProgressColumn):
    """What the courses say of themselves, beside their bars."""

    def __init__(self, courses: dict[TaskID, Course], what: str) -> None:
        super().__init__()
        self._courses, self._what = courses, what

    def render(self, task: Task) -> Text:
        course = self._courses.get(task.id)
        if course is None:
            return Text("")
        if self._what == "title":
            return Text(course.title)
        return Text(course.facts()).append(f" {course.note}", style="dim")


def _rate(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s"


def _span(seconds: float) -> str:
    """Minutes and seconds, or hours before them."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
