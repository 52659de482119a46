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
    above = path.absolute().parents
    existing = next((p for p in ((path, *above) if folder else above) if p.exists()), Path("/"))
    if not existing.is_dir() and existing != path:
        raise InputError(f"cannot write {path}", expected="a folder above it", found=str(existing))
    if not os.access(existing, os.W_OK):
        raise StorageError(f"cannot write {path}", found=f"{existing} is not writable")
