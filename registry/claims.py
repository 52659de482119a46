"""Names that a run has taken before its work is done: a second run of one name is refused at once.

A claim is a file lock under `<root>/.claims`, held until the artifact is written or the process
ends, however it ends. Beside it stands who holds it. A claim is a courtesy: what keeps a registry
whole is the lock that each write takes, under which names are checked again.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from transplant.errors import ExistsError, StorageError

FOLDER = ".claims"
LEAST_FREE = 1 << 20  # bytes: a manifest and a small module

_held: dict[Path, FileLock] = {}


def claim(root: Path, places: Sequence[Path], what: str) -> None:
    """Takes places of a registry for this process; those that it has already stay taken.

    Args:
        root: of the registry; it is made where there is none.
        places: folders of artifacts, relative to the root.
        what: the artifact's name, for the message.

    Raises:
        ExistsError: another process is making an artifact of that name.
        StorageError: the root cannot be written.
    """
    for place in places:
        file = _file_of(root, place)
        if file in _held:
            continue
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(file, timeout=0)
            lock.acquire()
        except Timeout as error:
            raise ExistsError(
                f"{what} is being made by another run",
                found=_holder(file),
                hint="wait for it, or another name",
            ) from error
        except OSError as error:
            raise StorageError(
                f"cannot write to {root}: {error.strerror or error}",
                hint="`registry`, a folder that you may write to",
            ) from error
        _held[file] = lock
        who = {"process": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with contextlib.suppress(OSError):
            _note_of(file).write_text(json.dumps(who))


def release(root: Path, place: Path) -> None:
    """Gives a place back, where this process holds it."""
    _release(_file_of(root, place))


def check_room(root: Path, needed: int) -> None:
    """Refuses work whose result the disk has no room for.

    Args:
        root: of the registry.
        needed: the bytes that will be written, as far as they are known.

    Raises:
        StorageError: less is free.
    """
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < max(needed, LEAST_FREE):
        raise StorageError(
            f"the disk of {root} is too full",
            expected=f"{max(needed, LEAST_FREE):,} bytes free",
            found=f"{free:,} bytes",
            hint="`rm('NAME')`, or a `registry` on another disk",
        )


def release_all(root: Path | None = None) -> None:
    """Gives back whatever this process holds, in one registry or in all."""
    for file in [*_held]:
        if root is None or file.parent.parent == Path(os.path.abspath(root)):
            _release(file)


atexit.register(release_all)


def _release(file: Path) -> None:
    lock = _held.pop(file, None)
    if lock is None:
        return
    with contextlib.suppress(OSError):
        _note_of(file).unlink(missing_ok=True)
        lock.release()
        file.unlink(missing_ok=True)
        file.parent.rmdir()


def _file_of(root: Path, place: Path) -> Path:
    return Path(os.path.abspath(root)) / FOLDER / f"{'+'.join(place.parts)}.lock"


def _note_of(file: Path) -> Path:
    return file.with_suffix(".json")


def _holder(file: Path) -> str:
    try:
        who = json.loads(_note_of(file).read_text())
        return f"process {who['process']}, since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
