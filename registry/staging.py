"""Changing a folder so that readers see the old one or the new one, never half of either.

A writer holds the registry's lock, fills `.NAME.tmp` beside the folder NAME, flushes it, moves NAME
to `.NAME.old`, `.NAME.tmp` to NAME, and removes `.NAME.old`. Whatever a crash leaves is settled by
the next writer; between the two moves a reader takes `.NAME.old`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from transplant.errors import StorageError


@contextmanager
def locked(root: Path, timeout_s: float) -> Iterator[None]:
    """Hold the one lock of a registry, which it creates.

    Raises:
        StorageError: another process kept the lock for `timeout_s` seconds.
    """
    root.mkdir(parents=True, exist_ok=True)
    file = root / ".lock"
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise StorageError(
            f"the registry lock {file}", expected="a regular file", hint=f"remove {file}"
        )
    lock = FileLock(file, timeout=timeout_s)
    try:
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"the registry lock {root / '.lock'}",
            expected=f"to get it within {timeout_s:g} s",
            found="another process that holds it",
            hint="wait for the other process, or use `registry='DIR'`",
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def staged(final: Path, *, keep_old: bool = False) -> Iterator[Path]:
    """An empty folder to fill; it becomes `final` where the block ends without an exception.

    Args:
        final: the folder to be.
        keep_old: whether what was there stays as `.NAME.old`, until `settle_all`.
    """
    temporary = sibling(final, "tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        flush(temporary)
        try:
            if os.path.lexists(final):
                os.rename(final, sibling(final, "old"))
            os.rename(temporary, final)
        finally:
            if not (keep_old and os.path.lexists(final)):
                _settle(final)
        _sync(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def merged(final: Path, *, last: str) -> Iterator[Path]:
    """An empty folder to fill; its files then join those of `final`, the file `last` at the end.

    For a folder that is real once it holds `last`. An exception takes every moved file back out.
    """
    temporary = sibling(final, "tmp")
    moved: list[Path] = []
    try:
        temporary.mkdir(parents=True)
        yield temporary
        flush(temporary)
        final.mkdir(exist_ok=True)
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == last):
            moved.append(final / file.name)
            os.replace(file, moved[-1])
        _sync(final)
    except BaseException:
        for file in reversed(moved):
            file.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def discard(final: Path, *, first: str, keep: str | None = None) -> int:
    """Remove a folder, or all in it but what matches `keep`; return the bytes freed.

    To a reader it is gone at once: the whole folder is moved away, or its file `first` before
    everything else.
    """
    temporary = sibling(final, "tmp")
    if keep is None:
        os.rename(final, temporary)
        if not temporary.is_dir() or temporary.is_symlink():  # a file, or a link, of that name
            freed = os.lstat(temporary).st_size
            temporary.unlink()
            return freed
    else:
        temporary.mkdir()
        for path in sorted(final.iterdir(), key=lambda path: path.name != first):
            if not re.fullmatch(keep, path.name):
                os.rename(path, temporary / path.name)
    freed = sum(_size(Path(at, name)) for at, _, names in os.walk(temporary) for name in names)
    shutil.rmtree(temporary)
    return freed


@contextmanager
def storage_errors(root: Path, needed: int = 0) -> Iterator[None]:
    """Turn what the operating system refuses into StorageError; `needed` is in bytes."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"the disk of {root} is full",
                expected=f"{needed} bytes free",
                found=f"{_free_bytes(root)} bytes",
                hint="`rm('NAME')`, or `registry='DIR'` on another disk",
            ) from error
        hint = "`registry='DIR'` with a folder that you may write to"
        raise StorageError(f"cannot write to {root}: {error}", hint=hint) from error


def settle_all(parent: Path, old_stands: Callable[[Path], bool]) -> None:
    """Clear away what crashed writers left in a folder. Only under the lock.

    Args:
        parent: the folder.
        old_stands: whether the `.NAME.old` beside a folder is the one that readers take.
    """
    for temporary in parent.glob(".*.tmp"):
        clear(temporary)
    for old in parent.glob(".*.old"):
        final = final_of(old)
        if old_stands(final):
            clear(final)
        _settle(final)


def has_leftovers(parent: Path) -> bool:
    """Whether a writer is at work in a folder, or was killed there."""
    return any(found for role in ("tmp", "old") for found in parent.glob(f".*.{role}"))


def sibling(final: Path, role: str) -> Path:
    """The hidden folder beside `final`: `tmp` while it is filled, `old` while it is replaced."""
    return final.with_name(f".{final.name}.{role}")


def final_of(folder: Path) -> Path:
    """The folder that `folder` is, or stands in for as its `.NAME.old`."""
    name = folder.name
    hidden = name.startswith(".") and name.endswith(".old")
    return folder.with_name(name[1:-4]) if hidden else folder


def flush(folder: Path) -> None:
    """Force a folder's files, and the folder itself, to the disk."""
    for file in folder.iterdir():
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())
    _sync(folder)


def prune(folder: Path, root: Path) -> None:
    """Remove `folder` and the folders above it, up to `root`, as far as they are empty."""
    while folder != root and folder.is_relative_to(root):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent


def _size(path: Path) -> int:
    found = os.lstat(path)
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _free_bytes(root: Path) -> int:
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    return shutil.disk_usage(existing).free


def _settle(final: Path) -> None:
    old = sibling(final, "old")
    if os.path.lexists(final):
        clear(old)
    elif os.path.lexists(old):
        os.rename(old, final)


def clear(path: Path) -> None:
    """Remove a folder, a file or a link; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    if os.name != "posix":  # Windows opens no folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
