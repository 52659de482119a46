"""A file that appears whole or not at all, and what the operating system refuses, by name."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from transplant.errors import ExistsError, StorageError

_UNSUPPORTED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK)


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
    _check_free(path)
    missing = [folder for folder in path.absolute().parents if not folder.exists()]
    with storage_errors(path, needed):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock(handle, path)
            try:
                _check_free(path)  # another writer may just have come to its end
                os.ftruncate(handle, 0)  # what a killed one left
                if free_bytes(path) < needed:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                yield temporary, handle
                os.fsync(handle)
                os.rename(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)
        except BaseException:
            os.close(handle)
            for folder in missing:
                with suppress(OSError):
                    folder.rmdir()
            raise


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


@contextmanager
def storage_errors(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn what the operating system refuses into StorageError; `needed` is in bytes."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"the disk of {path} is full",
                expected=f"{needed} bytes free",
                found=f"{free_bytes(path)} bytes",
                hint="free some space, or `out` on another disk",
            ) from error
        raise StorageError(f"cannot write {path}: {error}", hint="another `out`") from error


def reserve(handle: int) -> None:
    """Room on the disk for all that is not written yet; it reads as zeros."""
    if hasattr(os, "posix_fallocate"):
        with _where_supported():
            os.posix_fallocate(handle, 0, os.fstat(handle).st_size)


def lock(handle: int, path: Path) -> None:
    """Takes the file for this process alone, until the handle closes or the process ends.

    Raises:
        StorageError: another process has it.
    """
    with _where_supported():
        if not lock_descriptor(handle, blocking=False):
            what = f"another process writes {path}"
            raise StorageError(what, hint="wait for it, or another `out`")


@contextmanager
def _where_supported() -> Iterator[None]:
    """Some network disks have no locks, others cannot reserve room: a capture does without."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _check_free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        hint = "`capture(..., resume=True)`, or another `out`"
        raise ExistsError(f"{path} exists already", hint=hint)


def free_bytes(path: Path) -> int:
    """What is free where `path` is, or would be."""
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    return shutil.disk_usage(existing).free


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
