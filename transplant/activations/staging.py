"""The files of captured states: staged under a lock, with their room reserved; scratch files."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from transplant.errors import ExistsError, StorageError
from transplant.files import room
from transplant.files.lock import UNSUPPORTED, lock_handle
from transplant.files.room import free_bytes
from transplant.files.whole_file import locked_file


def check_free(path: Path) -> None:
    """Refuses the place of a new file where something is there.

    Raises:
        ExistsError: naming the two ways on.
    """
    if path.exists() or path.is_symlink():
        hint = "`capture(..., resume=True)`, or another `out`"
        raise ExistsError(f"{path} exists already", hint=hint)


@contextmanager
def staged(path: Path, needed: int) -> Iterator[tuple[Path, int]]:
    """A locked file under a hidden name; it becomes `path` where the block ends well.

    Args:
        path: where the file will be.
        needed: the bytes that it will take.

    Yields:
        The hidden name, and a handle that stays open and holds the lock.

    Raises:
        ExistsError: something is at `path`.
        StorageError: no room, or the disk or the lock refused.
    """
    check_free(path)
    with storage_errors(path, needed), locked_file(path) as (temporary, handle):
        check_free(path)  # another writer may just have come to its end
        if free_bytes(path) < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield temporary, handle


@contextmanager
def nameless(folder: Path, size: int) -> Iterator[Path]:
    """A file of `size` bytes that loses its name with the block; it ends with its last user.

    Raises:
        StorageError: no room for all of it, or the disk refused.
    """
    with storage_errors(folder / "scratch", size):
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = _scratch(folder)
        try:
            os.ftruncate(handle, size)
            reserve(handle)  # a mapping of a file without room ends the process when it is full
            yield name
        finally:
            os.close(handle)
            if name.parent == folder:
                name.unlink()


def _scratch(folder: Path) -> tuple[int, Path]:
    """A file without a name, where the system has them: a kill leaves nothing."""
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):  # not on every disk
            handle = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
            if (name := Path(f"/proc/self/fd/{handle}")).exists():
                return handle, name
            os.close(handle)
    handle, text = tempfile.mkstemp(dir=folder)
    return handle, folder / Path(text).name


def storage_errors(path: Path, needed: int = 0) -> AbstractContextManager[None]:
    """Turn what the operating system refuses into StorageError; `needed` is in bytes."""
    return room.storage_errors(
        path, needed, full="free some space, or `out` on another disk", refused="another `out`"
    )


def reserve(handle: int) -> None:
    """Room on the disk for all that is not written yet; it reads as zeros."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(handle, 0, os.fstat(handle).st_size)
    except OSError as error:
        if error.errno not in UNSUPPORTED:  # a capture does without
            raise


def lock(handle: int, path: Path) -> None:
    """Takes the file for this process alone, until the handle closes or the process ends.

    Raises:
        StorageError: another process has it.
    """
    if not lock_handle(handle):
        what = f"another process writes {path}"
        raise StorageError(what, hint="wait for it, or another `out`")
