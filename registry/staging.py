"""Changing a registry so that readers see the old artifact or the new one, never half of either.

A writer holds the registry's lock and stages its folder (see `transplant.files.whole_folder`).
Whatever a crash leaves is settled by the next writer; between the two moves of a replacement a
reader takes `.NAME.old`.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from transplant.errors import StorageError
from transplant.files import lock, room
from transplant.files import whole_folder as folders
from transplant.files.whole_folder import final_of, sibling


@contextmanager
def locked(root: Path, timeout_s: float) -> Iterator[None]:
    """Hold the one lock of a registry, which it creates.

    Raises:
        StorageError: another process kept the lock for `timeout_s` seconds.
    """
    root.mkdir(parents=True, exist_ok=True)
    file = root / ".lock"
    with lock.locked(file, timeout_s) as held:
        if not held:
            raise StorageError(
                f"the registry lock {file}",
                expected=f"to get it within {timeout_s:g} s",
                found="another process that holds it",
                hint="wait for the other process, or use `registry='DIR'`",
            )
        yield


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
        folders.flush(temporary)
        final.mkdir(exist_ok=True)
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == last):
            moved.append(final / file.name)
            os.replace(file, moved[-1])
        folders.sync_folder(final)
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


def storage_errors(root: Path, needed: int = 0) -> AbstractContextManager[None]:
    """Turn what the operating system refuses into StorageError; `needed` is in bytes."""
    return room.storage_errors(
        root, needed, full="`rm('NAME')`, or `registry='DIR'` on another disk",
        refused="`registry='DIR'` with a folder that you may write to",
    )  # fmt: skip


def settle_all(parent: Path, old_stands: Callable[[Path], bool]) -> None:
    """Clear away what crashed writers left in a folder. Only under the lock.

    Args:
        parent: the folder.
        old_stands: whether the `.NAME.old` beside a folder is the one that readers take.
    """
    for temporary in parent.glob(".*.tmp"):
        folders.clear(temporary)
    for old in parent.glob(".*.old"):
        final = final_of(old)
        if old_stands(final):
            folders.clear(final)
        folders.settle(final)


def has_leftovers(parent: Path) -> bool:
    """Whether a writer is at work in a folder, or was killed there."""
    return any(found for role in ("tmp", "old") for found in parent.glob(f".*.{role}"))


def move(file: Path, to: Path) -> None:
    """Move a file within a disk; who may read it is decided anew, as of a copy."""
    to.touch()
    mode = to.stat().st_mode
    os.replace(file, to)
    to.chmod(stat.S_IMODE(mode))


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
