"""The folder of an export: refused where it is there already, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transplant.errors import ExistsError, StorageError
from transplant.files.lock import locked
from transplant.files.room import check_room, storage_errors
from transplant.files.whole_folder import (
    clear,
    missing_above,
    remove_empty,
    sibling,
    whole_folder,
)
from transplant.files.writable import check_above

FULL = "a folder on another disk"


def check_place(out: Path, needed: int = 0) -> None:
    """Refuses a folder that is there, and one that cannot be made.

    Args:
        out: the folder to be.
        needed: the bytes that will be written, as far as they are known.

    Raises:
        ExistsError: something has that name.
        InputError: a file is where a folder above it would be.
        StorageError: nothing may be written there, or its disk is full.
    """
    if os.path.lexists(out):
        raise ExistsError(f"{out} exists already", hint="another folder, or remove it")
    check_above(out)
    check_room(out.absolute().parent, needed, FULL)


@contextmanager
def new_folder(out: Path, needed: int = 0) -> Iterator[Path]:
    """An empty folder to fill; it becomes `out` where the block ends without an exception.

    Args:
        out: the folder to be.
        needed: the bytes that will be written, for the message of a full disk.

    Raises:
        ExistsError: it was made meanwhile.
        StorageError: the disk refused, or another process writes it.
    """
    missing = missing_above(out)
    with storage_errors(out, needed, full=FULL, refused="a folder that you may write to"):
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            hidden, lock = sibling(out, "tmp"), sibling(out, "tmp.lock")
            left = os.path.lexists(lock)  # of a killed writer, if nobody holds it
            with locked(lock, remove=True) as held:
                if held and left:
                    clear(hidden)
                if not held or os.path.lexists(hidden):
                    raise StorageError(
                        f"{hidden} is in the way: another process writes it, or somebody made it",
                        hint="wait for it, or remove it",
                    )
                check_place(out)
                with whole_folder(out) as folder:
                    yield folder
        finally:
            if not out.exists():
                remove_empty(missing)
