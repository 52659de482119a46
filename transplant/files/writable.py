"""Places of results, looked at before the work."""

from __future__ import annotations

import os
from pathlib import Path

from transplant.errors import InputError, StorageError


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Refuses, before the work, a place that its result could not be written to.

    Args:
        path: the file or the folder that will be written.
        folder: whether it is a folder, which may be there already.

    Raises:
        InputError: something of another sort has that name.
        StorageError: it may not be written to.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"cannot write {path}", expected="a plain file", found="a device or pipe")
    if path.exists() and path.is_dir() != folder:
        kind = ("a file", "a folder")
        raise InputError(f"cannot write {path}", expected=kind[folder], found=kind[not folder])
    check_above(path, inside=folder)


def check_above(path: Path, *, inside: bool = False, hint: str | None = None) -> None:
    """Refuses a place for which nothing may be made in the lowest folder above it that is there.

    Args:
        path: the file or the folder that will be written.
        inside: whether it is a folder that files are put into, and may be there itself.
        hint: what to try where the folder is closed.

    Raises:
        InputError: what is there above it is no folder.
        StorageError: the folder may not be written to.
    """
    whole = path.absolute()
    above = next(it for it in ([whole] if inside else []) + [*whole.parents] if it.exists())
    if not above.is_dir():
        raise InputError(f"cannot write {path}", expected="a folder above it", found=str(above))
    if not os.access(above, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write {path}", found=f"{above} is not writable", hint=hint)
