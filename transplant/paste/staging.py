"""Writing a folder whole or not at all: filled under a hidden name, flushed, then renamed.

A writer of `out` holds the lock `.out.partial.lock` while `.out.partial` and `.out.old` may be
there, and removes it at its end. One that nobody holds is of a killed writer, and what lies
beside it is settled by the next one. A `.out.partial` without it is not ours.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from transplant.errors import ExistsError, InputError, StorageError
from transplant.paste.core import CONFIG


def check_out(out: Path, inputs: tuple[Path, ...], *, replace: bool) -> None:
    """Refuse a place that cannot be written, before anything is.

    Raises:
        ExistsError: something is there, and it may not be replaced.
        InputError: replacing it would remove an input, or something that is no checkpoint.
    """
    if out.parent.is_dir() and os.path.lexists(_lock_file(out)):
        with _storage_errors(out, 0), _locked(out) as held:
            if held:
                _settle(out)
    if not (out.exists() or out.is_symlink()):
        return
    if not replace:
        hint = "`paste(replace=True)`, or another `out`"
        raise ExistsError(f"{out} exists already", hint=hint)
    if out.is_symlink() or not out.is_dir() or not (out / CONFIG).is_file():
        raise InputError(f"cannot replace {out}", expected=f"a folder with a {CONFIG}")
    place = out.resolve()
    for path in inputs:
        if place in path.resolve().parents:
            raise InputError(f"cannot replace {out}: {path} is in it", hint="another `out`")


@contextmanager
def staged(out: Path, needed: int) -> Iterator[Path]:
    """An empty folder to fill; it becomes `out` where the block ends without an exception.

    Args:
        out: the folder to be; where there is one, it is replaced.
        needed: how many bytes will be written, for the message of a full disk.

    Raises:
        StorageError: the disk refused, or another writer is at work.
    """
    partial, old = _beside(out)
    with _storage_errors(out, needed):
        missing = [folder for folder in out.parents if not folder.exists()]
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _writing(out):
                try:
                    yield partial
                    _sync(partial)
                    _publish(partial, out, old)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
                shutil.rmtree(old, ignore_errors=True)
        finally:
            if not out.exists():
                _remove_empty(missing)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Holds the lock, settles what a killed writer left, and makes the folder to fill."""
    partial, _ = _beside(out)
    left = os.path.lexists(_lock_file(out))
    with _locked(out) as held:
        if not held:
            raise _in_the_way(partial)
        if left:
            _settle(out)
        try:
            partial.mkdir()
        except FileExistsError as error:
            raise _in_the_way(partial) from error
        yield


def _beside(out: Path) -> tuple[Path, Path]:
    return out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")


def _lock_file(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial.lock")


@contextmanager
def _locked(out: Path) -> Iterator[bool]:
    """Whether this is the one writer of `out`; the file of the lock is gone at the end."""
    file = _lock_file(out)
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise StorageError(f"the lock {file}", expected="a regular file", hint=f"remove {file}")
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(OSError):  # while it is held: whoever opens it later makes it anew
            file.unlink(missing_ok=True)
        lock.release()


def _settle(out: Path) -> None:
    """Clears what a killed writer left; where it had moved `out` away, that comes back."""
    partial, old = _beside(out)
    if old.is_dir() and not os.path.lexists(out):
        os.rename(old, out)
    for folder in (partial, old):
        if not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _in_the_way(partial: Path) -> StorageError:
    what = f"{partial} is in the way: another paste writes it, or somebody else made it"
    return StorageError(what, hint=f"rm -r '{partial}', if no other is at work")


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _publish(partial: Path, out: Path, old: Path) -> None:
    try:
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(out, old)
        os.rename(partial, out)
    except BaseException:
        if old.exists() and not out.exists():
            os.rename(old, out)
        raise
    _sync(out.parent)


@contextmanager
def _storage_errors(out: Path, needed: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            existing = next(folder for folder in out.absolute().parents if folder.exists())
            raise StorageError(
                f"the disk of {out} is full",
                expected=f"{needed} bytes free",
                found=f"{shutil.disk_usage(existing).free} bytes",
                hint="`paste(out='DIR')` on another disk",
            ) from error
        raise StorageError(
            f"cannot write {out}: {error}", hint="`paste(out='DIR')` that you may write to"
        ) from error


def _sync(folder: Path) -> None:
    if os.name != "posix":  # Windows opens no folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
