"""Desk for what takes longer than a page: one piece of work at a time, bounded, and stoppable."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from transplant.errors import InputError, NotFoundError, TransplantError, first_line
from transplant.progress import Progress

KEPT = 16
"""Pieces of work whose results are kept."""
LEAVE_S = 1.0
"""Seconds that one may take to stop when the studio does."""
RUNNING, DONE, FAILED, STOPPED = "running", "done", "failed", "stopped"


class BusyError(InputError):
    """Something else is being computed."""


class StoppedError(Exception):
    """Work that was told to stop, or took too long."""


@dataclass
class Task:
    """One piece of work; it satisfies `Reporter`, and stops where the work reports to it."""

    id: str
    kind: str
    title: str
    asked: dict[str, Any]
    deadline: float
    state: str = RUNNING
    note_: str = ""
    warnings: list[str] = field(default_factory=list)
    result: Any = None
    error: str | None = None
    seconds: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Stops the work where it was told to.

        Raises:
            StoppedError: by the user, or by the clock.
        """
        if self.stop.is_set():
            raise StoppedError("stopped")
        if time.monotonic() > self.deadline:
            raise StoppedError("stopped: it took longer than it may")

    def note(self, text: str, /) -> None:
        """Shows what is going on."""
        self.check()
        self.note_ = text

    def warn(self, text: str, /) -> None:
        """Keeps what is wrong but does not stop the work."""
        self.check()
        self.warnings.append(text)

    @contextmanager
    def progress(self, title: str, /) -> Iterator[Progress]:
        """Follows one long loop."""
        self.note(title)

        def told(step: int, total: int, note: str, /) -> None:
            self.note(f"{title}: {step:,}/{total:,} {note}".strip())

        yield told


class Desk:
    """Runs one task at a time in a thread of its own.

    Args:
        seconds: that a task may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._tasks: dict[str, Task] = {}
        self._thread: threading.Thread | None = None

    def begin(
        self, kind: str, title: str, asked: dict[str, Any], work: Callable[[Task], Any]
    ) -> Task:
        """Begins a task and returns it at once.

        Raises:
            BusyError: another one is under way.
        """
        with self._lock:
            if self.running is not None:
                raise BusyError("one computation at a time", found=self.running.title)
            deadline = time.monotonic() + self._seconds
            task = Task(secrets.token_hex(8), kind, title, asked, deadline)
            self._tasks[task.id] = task
            for spent in [*self._tasks][:-KEPT]:
                del self._tasks[spent]
            # A daemon: what cannot be stopped does not keep the process alive.
            self._thread = threading.Thread(target=_run, args=(task, work), daemon=True)
            self._thread.start()
            return task

    @property
    def running(self) -> Task | None:
        """What is under way."""
        return next((task for task in self._tasks.values() if task.state == RUNNING), None)

    def get(self, id: str) -> Task:
        """A task by its id.

        Raises:
            NotFoundError: there is none, or it is long gone.
        """
        found = self._tasks.get(id)
        if found is None:
            raise NotFoundError("no such computation; the last ones alone are kept")
        return found

    def wait(self, seconds: float) -> None:
        """Waits until what is under way has ended, at most some seconds."""
        if self._thread is not None:
            self._thread.join(seconds)

    def close(self) -> None:
        """Stops what is under way."""
        for task in [*self._tasks.values()]:
            task.stop.set()
        self.wait(LEAVE_S)


def _run(task: Task, work: Callable[[Task], Any]) -> None:
    began = time.monotonic()
    state = FAILED
    try:
        task.result = work(task)
        state = DONE
    except StoppedError as stopped:
        state, task.error = STOPPED, str(stopped)
    except TransplantError as error:
        task.error = error.line()
    except BaseException as error:  # a panic of a Rust extension is no Exception
        task.error = f"this is a fault of abi, please report it: {first_line(error)}"
    task.seconds = time.monotonic() - began
    task.state = state
