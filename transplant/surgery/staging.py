"""Writing a folder whole or not at all: filled under a hidden name, flushed, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from transplant.errors import ExistsError, InputError, StorageError
from transplant.surgery.core import CONFIG


def check_out(out: Path, inputs: tuple[Path, ...], *, replace: bool) -> None:
    """Refuse a place that cannot be written, before anything is.

    Raises:
        ExistsError: something is there, and it may not be replaced.
        InputError: replacing it would remove an input, or something that is no checkpoint.
    """
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
    partial, old = (out.with_name(f".{out.name}.{role}") for role in ("partial", "old"))
    with _storage_errors(out, needed):
        missing = [folder for folder in out.parents if not folder.exists()]
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.mkdir()
        except FileExistsError as error:
            what = (
                f"{partial} is in the way: another paste writes it, or left it when it was killed"
            )
            raise StorageError(what, hint=f"rm -r '{partial}', if no other is at work") from error
        try:
            yield partial
            _sync(partial)
            _publish(partial, out, old)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            if not out.exists():
                _remove_empty(missing)
        shutil.rmtree(old, ignore_errors=True)


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
