"""The folder of a pasted core: staged beside its place, under a lock of its own.

A writer of `out` holds the lock `.out.partial.lock` while `.out.partial` and `.out.old` may be
there, and removes it at its end. One that nobody holds is of a killed writer, and what lies
beside it is settled by the next one. A `.out.partial` without it is not ours.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from transplant.errors import ExistsError, InputError, StorageError
from transplant.files import room
from transplant.files.lock import locked
from transplant.files.whole_folder import (
    clear,
    missing_above,
    remove_empty,
    settle,
    sibling,
    whole_folder,
)
from transplant.files.writable import check_above
from transplant.paste.core import CONFIG

PARTIAL = "partial"


def check_out(out: Path, inputs: tuple[Path, ...], *, replace: bool) -> None:
    """Refuse a place that cannot be written, before anything is.

    Raises:
        ExistsError: something is there, and it may not be replaced.
        InputError: replacing it would remove an input, or something that is no checkpoint.
        StorageError: it may not be written there.
    """
    check_above(out)
    if out.parent.is_dir() and os.path.lexists(_lock_file(out)):
        with _storage_errors(out, 0), _settled(out):
            pass
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
    with _storage_errors(out, needed):
        missing = missing_above(out)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with _settled(out) as held:
                if not held or os.path.lexists(sibling(out, PARTIAL)):
                    raise _in_the_way(sibling(out, PARTIAL))
                with whole_folder(out, role=PARTIAL) as folder:
                    yield folder
        finally:
            if not out.exists():
                remove_empty(missing)


@contextmanager
def _settled(out: Path) -> Iterator[bool]:
    """Whether this is the one writer of `out`, after what a killed one left was cleared."""
    left = os.path.lexists(_lock_file(out))
    with locked(_lock_file(out), remove=True) as held:
        if held and left:
            settle(out)
            for role in (PARTIAL, "old"):
                clear(sibling(out, role))
        yield held


def _lock_file(out: Path) -> Path:
    return sibling(out, f"{PARTIAL}.lock")


def _in_the_way(partial: Path) -> StorageError:
    what = f"{partial} is in the way: another paste writes it, or somebody else made it"
    return StorageError(what, hint=f"rm -r {shlex.quote(str(partial))}, if no other is at work")


def _storage_errors(out: Path, needed: int) -> AbstractContextManager[None]:
    return room.storage_errors(
        out, needed, full="`paste(out='DIR')` on another disk",
        refused="`paste(out='DIR')` that you may write to",
    )  # fmt: skip
