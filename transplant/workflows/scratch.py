"""Scratch folders of a job, on the library's disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from transplant.ranks import current

if TYPE_CHECKING:
    from transplant.workflows.work import Work


@contextmanager
def scratch_folder(work: Work, name: str, job: str) -> Iterator[Path]:
    """A folder for this name, job and process alone; what a killed run left in it goes.

    Args:
        work: its library says where.
        name: of the artifact to be.
        job: what is done, as `adding`.
    """
    ranks = current()
    own = f"{name}.{job}" if ranks.count == 1 else f"{name}.{job}-{ranks.number}"
    folder = work.library.checkpoint_path(name).parent / own
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
