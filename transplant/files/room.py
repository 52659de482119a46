"""Free space, checked before the work whose result needs it."""

from __future__ import annotations

import shutil
from pathlib import Path

from transplant.errors import StorageError

LEAST_FREE = 1 << 20  # bytes: a manifest and a small module


def check_room(folder: Path, needed: int, hint: str) -> None:
    """Refuses work whose result the disk has no room for.

    Args:
        folder: where it will be written; it need not be there.
        needed: the bytes that will be written, as far as they are known.
        hint: what to try.

    Raises:
        StorageError: less is free.
    """
    folder = folder.absolute()
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    free, needed = shutil.disk_usage(existing).free, max(needed, LEAST_FREE)
    if free < needed:
        raise StorageError(
            f"the disk of {folder} is too full",
            expected=f"{needed:,} bytes free",
            found=f"{free:,} bytes",
            hint=hint,
        )
