"""Locks between processes, through `filelock`: they end with their process, however it ends."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout, lock_descriptor

from transplant.errors import StorageError

UNSUPPORTED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK)
"""What a disk answers that has no locks, or cannot reserve room."""


@contextmanager
def locked(file: Path, timeout_s: float = 0, *, remove: bool = False) -> Iterator[bool]:
    """Holds a lock file, which it makes, inside the block.

    Args:
        file: the lock.
        timeout_s: how long to wait for another process, in seconds.
        remove: whether the file is gone at the end.

    Yields:
        Whether the lock was had.

    Raises:
        StorageError: something else has that name.
        OSError: the disk refused.
    """
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise StorageError(f"the lock {file}", expected="a regular file", hint=f"remove {file}")
    lock = FileLock(file, timeout=timeout_s)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        if remove:
            with suppress(OSError):  # while it is held: whoever opens it later makes it anew
                file.unlink(missing_ok=True)
        lock.release()


def lock_handle(handle: int) -> bool:
    """Takes an open file for this process alone, until the handle closes or the process ends.

    Returns:
        False where another process has it. On a disk without locks everybody has it.
    """
    try:
        return bool(lock_descriptor(handle, blocking=False))
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return True
