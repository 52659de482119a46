"""Protocols of reports on long work: the course of one loop, and the notes of a whole job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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
