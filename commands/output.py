"""The one place that prints: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from commands.courses import Course, Courses, is_watched
from commands.errors import typed_as
from commands.render.table import drawn
from transplant.errors import InputError, StorageError, TransplantError
from transplant.files.json_text import to_json
from transplant.files.results import versioned
from transplant.tables.table import Sheet, Table
from transplant.tables.words import Words

PIPE_WIDTH = 120


class Output:
    """Where a verb's words go.

    Args:
        as_json: stdout gets exactly one JSON value.
        quiet: no progress.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet
        self.silent = False
        """Whether another process of the same run answers in this one's place."""
        self.draw: Callable[[Any], str | None] | None = None
        """What draws a result into a file and returns its path, where that was asked for."""
        self.report: Any = None
        """The result that was printed; None before it."""
        self.passed = True
        """Whether it is no result of a benchmark that did not pass."""
        self._answered = False  # stdout has its one JSON value
        # A pipe has no width, unless COLUMNS gives it one.
        known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
        self.stdout = Console(highlight=False, width=None if known else PIPE_WIDTH)
        self.stderr = Console(stderr=True, quiet=quiet, highlight=False)
        self._courses = Courses(self.stderr)

    def result(self, data: Any, human: Table | Sheet | Words, *, passed: bool = True) -> None:
        """Prints a verb's result: `data` under `--json`, else `human`.

        Args:
            data: what it is.
            human: the same to read.
            passed: whether it is no result of a benchmark that did not pass, which is exit code 3.
        """
        self.report, self.passed = data, passed
        if self.silent:
            return
        picture = None if self.draw is None else self.draw(data)
        if picture is not None:
            data = {**data, "plot": picture}
        if self.as_json:
            self._answered = True
            with self._stdout_told():
                sys.stdout.write(to_json(versioned(data), 2) + "\n")
        else:
            self.show(human)
        if picture is not None:
            self.note(f"drawn in {picture}")
        self.flush()

    def show(self, human: Table | Sheet | Words) -> None:
        """Prints tables and words; what may not wrap makes its line longer, and is not cut."""
        with self._stdout_told():
            self.stdout.print(drawn(human), crop=False, overflow="ignore")
        self.flush()

    @property
    def is_live(self) -> bool:
        """Whether somebody reads along: stdout is a terminal, and no JSON is asked for."""
        return not self.as_json and not self.silent and is_watched(self.stdout)

    def piece(self, text: str, style: str = "") -> None:
        """Prints a piece of a result as it comes, before `result` prints the rest."""
        self.stdout.print(Text(text, style), end="", soft_wrap=True)
        self.flush()

    def flush(self) -> None:
        """Sends what was printed on its way.

        Raises:
            StorageError: the disk behind stdout is full.
            BrokenPipeError: the reader has left.
        """
        with self._stdout_told():
            sys.stdout.flush()

    @contextmanager
    def _stdout_told(self) -> Iterator[None]:
        """Names stdout where it takes no more."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            with contextlib.suppress(OSError, ValueError):  # at exit it would be tried again
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._answered = True
            raise StorageError("cannot write to stdout", found=error.strerror) from error

    def next(self, step: str) -> None:
        """Says on stderr what to type next; nothing beside JSON, or in place of another process."""
        if not (self.as_json or self.silent):
            with contextlib.suppress(OSError):
                self.stderr.print(f"[dim]Next:[/dim] {escape(step)}", soft_wrap=True)

    def note(self, text: str) -> None:
        """Says on stderr what is going on; nothing in place of another process."""
        if self.silent:
            return
        with contextlib.suppress(OSError):  # nobody reads it
            self.stderr.print(f"[dim]{escape(typed_as(text, {}))}[/dim]", soft_wrap=True)

    def warn(self, text: str) -> None:
        """Says on stderr what is wrong but does not stop the verb; once for all processes."""
        if self.silent:
            return
        with contextlib.suppress(OSError):
            self.stderr.print(
                f"[yellow]warning[/yellow] {escape(typed_as(text, {}))}", soft_wrap=True
            )

    def error(self, error: TransplantError) -> None:
        """Prints a named error: one line, or one JSON object under `--json`."""
        if self.as_json and not self._answered and not self.silent:
            self._answered = True
            with contextlib.suppress(OSError):
                sys.stdout.write(to_json(versioned(error.as_dict()), 2) + "\n")
        line = Console(stderr=True, highlight=False, soft_wrap=True)
        with contextlib.suppress(OSError):
            line.print(f"[bold red]error[/bold red] {escape(' '.join(str(error).split()))}")

    def confirm(self, question: str) -> None:
        """Asks on stderr; anything but a yes on stdin is a no.

        Raises:
            InputError: the answer was no, or nobody was there to answer.
        """
        sys.stderr.write(f"{question} [y/N]: ")
        sys.stderr.flush()
        answer = sys.stdin.readline() if sys.stdin is not None else ""
        if answer.strip().lower() not in ("y", "yes"):
            raise InputError("aborted: nothing was done")

    @contextmanager
    def progress(self, title: str) -> Iterator[Course]:
        """A bar on stderr, gone when the block ends; plain lines where it is no terminal."""
        if self.quiet or self.silent:
            yield Course(title)
            return
        with self._courses.follow(title) as course:
            yield course
