"""The steps of a long job: each is announced and timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from transplant.allocator import give_back
from transplant.progress import Progress
from transplant.workflows.work import Work


class Stepwise:
    """A job that runs in steps; `seconds` holds how long each of them took."""

    work: Work
    seconds: dict[str, float]

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Notes what is being done, and how long it took; yields what follows its course."""
        title = name.replace("_", " ")
        self.work.reporter.note(f"{title} ...")
        began = time.monotonic()
        give_back()  # what the last one freed is in blocks of its sizes: it would come on top
        with self.work.reporter.progress(title) as progress:
            yield progress
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
