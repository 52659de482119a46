"""The folder that a job writes its files to, beside the report that it returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transplant.files.room import check_room
from transplant.files.writable import check_writable


def check_out(out: Path | None, *, page: bool = True) -> None:
    """Refuses, before the work, a folder that nothing could be written to after it.

    Args:
        out: the folder; None where none was asked for.
        page: whether a page is written, and not a plot alone.

    Raises:
        InputError, StorageError: it may not be written to, or its disk is full.
        TransplantError: what draws is not installed.
    """
    from transplant.pictures.figures import require_matplotlib
    from transplant.pictures.page import require_plotting

    if out is not None:
        (require_plotting if page else require_matplotlib)()
        check_writable(out, folder=True)
        check_room(out, 0, "`out`, a folder on another disk")


def with_files(
    report: dict[str, Any], out: Path | None, write: Callable[[Path, Any], list[str]]
) -> dict[str, Any]:
    """A report and, where a folder was asked for, the files that were written there."""
    return report if out is None else {**report, "files": write(out, report)}
