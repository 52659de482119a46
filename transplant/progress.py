"""Reports on long work: their protocols, and how far, how fast and how long a loop is."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

SHOWN_S = 0.1  # between two times that the course of a loop is shown
EVERY_S = 10.0  # between two lines on it


class Progress(Protocol):
    """What a long loop reports to."""

    def __call__(self, step: int, total: int, note: str, /) -> None:
        """Step `step` of `total` is done."""
        ...


class Reporter(Protocol):
    """What a job reports to; nothing of it is part of the result."""

    def note(self, text: str, /) -> None:
        """Says what is going on."""
        ...

    def warn(self, text: str, /) -> None:
        """Says what is wrong but does not stop the work."""
        ...

    def progress(self, title: str, /) -> AbstractContextManager[Progress]:
        """Follows one long loop."""
        ...


class SilentReporter:
    """A reporter that keeps everything to itself."""

    def note(self, text: str, /) -> None:
        """Says nothing."""

    def warn(self, text: str, /) -> None:
        """Says nothing."""

    @contextmanager
    def progress(self, title: str, /) -> Iterator[Progress]:  # noqa: ARG002
        """Follows a loop in silence."""
        yield unseen


class Course:
    """How far one loop is, how fast, and how long it will take: a `Progress`.

    Args:
        title: what is being done.
        clock: seconds, from any beginning.
    """

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self._clock = title, clock
        self.step, self.total, self.note = 0, 0, ""
        self._began, self._first = clock(), 0
        self.show: Callable[[], None] | None = None
        """Called when it is shown anew, at most every `SHOWN_S` seconds."""
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
            return f"{span_text(self._clock() - self._began)} so far"
        facts = f"{self.step:,}/{self.total:,}"
        if self.rate is not None:
            left = max(0, self.total - self.step) / self.rate
            facts += f", {_rate(self.rate)}, {span_text(left)} left"
        return facts

    def line(self) -> str:
        """All of it on one line."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.title}: {self.facts()}{note}"


class Lines:
    """A line every few seconds on the innermost of the loops that a run is in.

    Args:
        write: where a line goes; what it raises because nobody reads along is passed over.
        every: seconds between two lines.
    """

    def __init__(self, write: Callable[[str], object], every: float = EVERY_S) -> None:
        self._write, self._every = write, every
        self._running: list[Course] = []

    @contextmanager
    def follow(self, course: Course) -> Iterator[None]:
        """Tells of one loop until the block ends."""
        self._running.append(course)
        try:
            if len(self._running) > 1:  # the lines are of whatever is innermost
                yield
                return
            stop = threading.Event()
            teller = threading.Thread(target=self._tell, args=(stop,), daemon=True)
            teller.start()
            try:
                yield
            finally:
                stop.set()
                teller.join()
        finally:
            self._running.remove(course)

    def _tell(self, stop: threading.Event) -> None:
        while not stop.wait(self._every):
            running = [*self._running]
            if running:
                with contextlib.suppress(OSError, ValueError):
                    self._write(running[-1].line())


def unseen(step: int, total: int, note: str, /) -> None:
    """Progress that nobody follows."""


def part_of(progress: Progress | None, before: int, size: int, total: int) -> Progress:
    """The progress of a part of a longer loop, which ends no earlier than all of its parts.

    Args:
        progress: of the whole; None where nobody follows.
        before: steps of the whole that are done when the part begins.
        size: steps of the whole that the part makes up, however many it counts itself.
        total: steps of the whole.
    """

    def told(step: int, of: int, note: str, /) -> None:
        if progress is not None:
            progress(before + size * step // max(of, 1), total, note)

    return told


def _rate(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s"


def span_text(seconds: float) -> str:
    """Seconds as minutes and seconds, or hours before them."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
