"""The course of long work on stderr: a bar on a terminal, else a plain line every 10 seconds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.text import Text

from transplant.progress import Course

EVERY_S = 10.0


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
