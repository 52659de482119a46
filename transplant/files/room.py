"""Free space: checked before the work whose result needs it, named where a disk is full."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transplant.errors import StorageError

LEAST_FREE = 1 << 20  # bytes: a manifest and a small module


def check_room(folder: Path, needed: int, hint: str, *, what: str = "") -> None:
    """Refuses work whose result the disk has no room for.

    Args:
        folder: where it will be written; it need not be there.
        needed: the bytes that will be written, as far as they are known.
        hint: what to try.
        what: will be written, for the message.

    Raises:
        StorageError: less is free.
    """
    folder = folder.absolute()
    free, needed = free_bytes(folder), max(needed, LEAST_FREE)
    if free < needed:
        raise StorageError(
            f"the disk of {folder} is too full" + (f" for {what}" if what else ""),
            expected=f"{needed:,} bytes free",
            found=f"{free:,} bytes",
            hint=hint,
        )


def free_bytes(path: Path) -> int:
    """What is free where `path` is, or would be."""
    path = path.absolute()
    existing = next(each for each in (path, *path.parents) if each.exists())
    return shutil.disk_usage(existing).free


@contextmanager
def storage_errors(place: Path, needed: int = 0, *, full: str, refused: str) -> Iterator[None]:
    """Turns what the operating system refuses in the block into an error that names the place.

    Args:
        place: the file or the folder that is written.
        needed: the bytes that it takes, as far as they are known.
        full: what to try where the disk is full.
        refused: what to try where it refuses otherwise.

    Raises:
        StorageError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"the disk of {place} is full",
                expected=f"{max(needed, LEAST_FREE):,} bytes free",
                found=f"{free_bytes(place):,} bytes",
                hint=full,
            ) from error
        raise StorageError(f"cannot write to {place}: {error}", hint=refused) from error
