"""Scratch folders of a job, on the library's disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transplant.workflows.work import Work


@contextmanager
def scratch_folder(work: Work, name: str, job: str) -> Iterator[Path]:
    """A folder for this name and job alone; what a killed run left in it goes.

    Args:
        work: its library says where.
        name: of the artifact to be.
        job: what is done, as `adding`.
    """
    folder = work.library.checkpoint_path(name).parent / f"{name}.{job}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
