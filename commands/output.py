"""The one place that prints: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from transplant.errors import StorageError, TransplantError

PIPE_WIDTH = 120


class Output:
    """Where a verb's words go.

    Args:
        as_json: stdout gets exactly one JSON value.
        quiet: no progress.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet
        # A pipe has no width; cutting a table at 80 columns would lose numbers.
        self.stdout = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
        self.stderr = Console(stderr=True, quiet=quiet, highlight=False)

    def result(self, data: Any, human: RenderableType) -> None:
        """Prints a verb's result: `data` under `--json`, else `human`."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")
            sys.stdout.flush()
        else:
            self.stdout.print(human)

    def note(self, text: str) -> None:
        """Says on stderr what is going on."""
        self.stderr.print(f"[dim]{escape(text)}[/dim]")

    def warn(self, text: str) -> None:
        """Says on stderr what is wrong but does not stop the verb."""
        self.stderr.print(f"[yellow]warning[/yellow] {escape(text)}", soft_wrap=True)

    def error(self, error: TransplantError) -> None:
        """Prints a named error: one line, or one JSON object under `--json`."""
        if self.as_json:
            sys.stdout.write(json.dumps(error.as_dict(), indent=2) + "\n")
        line = Console(stderr=True, highlight=False, soft_wrap=True)
        line.print(f"[bold red]error[/bold red] {escape(' '.join(str(error).split()))}")

    @contextmanager
    def progress(self, title: str) -> Iterator[ProgressLine]:
        """A progress line on stderr, gone when the block ends."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total} [dim]{task.fields[note]}[/dim]"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.stderr, transient=True, disable=self.quiet) as bar:
            yield ProgressLine(bar, bar.add_task(title, total=None, note=""))


class ProgressLine:
    """What the library's loops report to; it satisfies `transplant`'s `Progress` protocol."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def __call__(self, step: int, total: int, note: str) -> None:
        """Step `step` of `total` is done."""
        self._bar.update(self._task, completed=step, total=total, note=escape(note))


def write_json(path: Path, data: Any) -> None:
    """Writes a result to a file, whole or not at all.

    Raises:
        StorageError: the disk refused.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(data, indent=1, default=str) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}", found=error.strerror) from error


def table(title: str, *columns: str) -> Table:
    """A plain table; the first column is left-aligned, the others right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=True)
    return made
