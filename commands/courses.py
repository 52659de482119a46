"""The course of long work on stderr: a bar on a terminal, else a plain line every 10 seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.text import Text

from transplant.progress import EVERY_S, Course, Lines


def is_watched(console: Console) -> bool:
    """Whether a terminal that can move its cursor is behind a console.

    FORCE_COLOR, which is usual in CI, colours a pipe or a file and makes no terminal of it.
    """
    with suppress(OSError, ValueError):  # closed
        return console.file.isatty() and not console.is_dumb_terminal
    return False


class Courses:
    """All loops that a run is in, the innermost last.

    Args:
        console: of stderr.
        every: seconds between two lines where it is no terminal.
    """

    def __init__(self, console: Console, every: float = EVERY_S) -> None:
        self._console = console
        self._lines = Lines(lambda line: console.print(escape(line), soft_wrap=True), every)
        self._bars: Progress | None = None
        self._tasks: dict[TaskID, Course] = {}

    @contextmanager
    def follow(self, title: str) -> Iterator[Course]:
        """Shows the course of one loop until the block ends."""
        course = Course(title)
        shown = self._bar if is_watched(self._console) else self._lines.follow
        with shown(course):
            yield course

    @contextmanager
    def _bar(self, course: Course) -> Iterator[None]:
        outermost = self._bars is None
        if self._bars is None:
            columns = (_Of(self._tasks, "title"), BarColumn(24), _Of(self._tasks, "facts"))
            self._bars = Progress(*columns, console=self._console, transient=True)
            self._bars.start()
        bars = self._bars
        task = bars.add_task("", total=None, visible=False)
        self._tasks[task] = course
        bars.update(task, visible=True)
        course.show = lambda: bars.update(task, completed=course.step, total=course.total)
        try:
            yield
        finally:
            bars.remove_task(task)
            del self._tasks[task]
            if outermost:
                bars.stop()
                self._bars = None


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
