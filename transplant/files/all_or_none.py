"""Several results of one job: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def all_or_none() -> Iterator[ExitStack]:
    """A stack for what removes each result: called, the last first, where the block raises.

    The result that is put down last needs no removal of its own.
    """
    with ExitStack() as removals:
        yield removals
        removals.pop_all()
