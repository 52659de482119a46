"""A folder that appears whole or not at all: filled under a hidden name, flushed, then renamed.

`.NAME.tmp` is filled beside the folder NAME. Then NAME becomes `.NAME.old`, `.NAME.tmp` becomes
NAME, and `.NAME.old` is removed. What a crash leaves, `settle` and `clear` put right. The caller
holds a lock: two writers of one folder would share the hidden name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_folder(final: Path, *, role: str = "tmp", keep_old: bool = False) -> Iterator[Path]:
    """An empty folder to fill; it becomes `final` where the block ends without an exception.

    Args:
        final: the folder to be; where there is one, it is replaced.
        role: names the hidden folder, see `sibling`.
        keep_old: whether what was there stays as `.NAME.old`, until `settle`.

    Raises:
        FileExistsError: something has the hidden name; it is left alone.
        OSError: the disk refused; what was at `final` is there again.
    """
    temporary = sibling(final, role)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        flush(temporary)
        try:
            if os.path.lexists(final):
                os.rename(final, sibling(final, "old"))
            os.rename(temporary, final)
        finally:
            if not (keep_old and os.path.lexists(final)):
                settle(final)
        sync_folder(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def settle(final: Path) -> None:
    """Bring `.NAME.old` back where `final` is not there, remove it where it is."""
    old = sibling(final, "old")
    if os.path.lexists(final):
        clear(old)
    elif os.path.lexists(old):
        os.rename(old, final)


def sibling(final: Path, role: str) -> Path:
    """The hidden name beside `final`: `tmp` while it is filled, `old` while it is replaced."""
    return final.with_name(f".{final.name}.{role}")


def final_of(path: Path) -> Path:
    """What `path` is, or stands in for as its `.NAME.old`."""
    name = path.name
    hidden = name.startswith(".") and name.endswith(".old")
    return path.with_name(name[1:-4]) if hidden else path


def clear(path: Path) -> None:
    """Remove a folder, a file or a link; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def missing_above(path: Path) -> list[Path]:
    """The folders above `path` that are not there, the lowest first."""
    return [folder for folder in path.absolute().parents if not folder.exists()]


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove the folders that are empty; the others stay."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def flush(folder: Path) -> None:
    """Force a folder's files, those of folders in it, and the folder itself, to the disk."""
    for inner in folder.iterdir():
        flush(inner) if inner.is_dir() else flush_file(inner)
    sync_folder(folder)


def flush_file(file: Path) -> None:
    """Force a file's content to the disk."""
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    if os.name != "posix":  # Windows opens no folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
