"""The steps of a long job: each is announced and timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from transplant.workflows.work import Work


class Stepwise:
    """A job that runs in steps; `seconds` holds how long each of them took."""

    work: Work
    seconds: dict[str, float]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Notes what is being done, and how long it took."""
        self.work.reporter.note(f"{name.replace('_', ' ')} ...")
        began = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
