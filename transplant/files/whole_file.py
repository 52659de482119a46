"""A file that appears whole or not at all: written under a hidden name, flushed, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transplant.errors import StorageError
from transplant.files.lock import lock_handle
from transplant.files.whole_folder import (
    flush_file,
    missing_above,
    remove_empty,
    sibling,
    sync_folder,
)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A hidden name to write to; what is there becomes `path` where the block ends well.

    Args:
        path: the file to be; where there is one, it is replaced.

    Raises:
        StorageError: another process writes it.
        OSError: the disk refused; what was at `path` is there still, and nothing is left behind.
    """
    with locked_file(path) as (temporary, handle):
        yield temporary
    os.close(handle)


@contextmanager
def locked_file(path: Path) -> Iterator[tuple[Path, int]]:
    """The same with a handle of the hidden file, for those who write on once it has its name.

    Yields:
        The hidden name of an empty file, and its handle, which holds the lock. Where the block ends
        well the handle stays open, and is the caller's to close.
    """
    missing = missing_above(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = sibling(path, "tmp")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o666)
    try:
        if not lock_handle(handle):
            raise StorageError(f"another process writes {path}", hint="wait for it")
        try:
            os.ftruncate(handle, 0)  # what a killed one left
            yield temporary, handle
            flush_file(temporary)  # by its name: some writers put a file of their own there
            os.replace(temporary, path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename is None:  # of a handle: it has no name
                error.filename = str(path)
            raise
        sync_folder(path.parent)
    except BaseException:
        os.close(handle)
        remove_empty(missing)
        raise
