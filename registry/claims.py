"""Names that a run has taken before its work is done: a second run of one name is refused at once.

A claim is a file lock under `<root>/.claims`, held until the artifact is written or the process
ends, however it ends. Beside it stands who holds it. A claim is a courtesy: what keeps a registry
whole is the lock that each write takes, under which names are checked again.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

from filelock import FileLock, Timeout

from transplant.errors import CorruptError, ExistsError, StorageError
from transplant.files.plain import check_inside, read_plain

FOLDER = ".claims"
_LONGEST = 200  # bytes of a file's name; a longer one is cut and ends in a hash

_held: dict[Path, FileLock] = {}
_here: ContextVar[list[Path] | None] = ContextVar("claims of the innermost attempt", default=None)


def claim(root: Path, places: Sequence[Path], what: str) -> list[Path]:
    """Takes places of a registry for this process, all of them or none.

    Those that it has already stay taken, whatever becomes of the others.

    Args:
        root: of the registry; it is made where there is none.
        places: folders of artifacts, relative to the root.
        what: the artifact's name, for the message.

    Returns:
        Those that it did not have yet.

    Raises:
        ExistsError: another process is making an artifact of that name.
        StorageError: the root cannot be written.
        CorruptError: the folder of claims is a link.
    """
    taken: list[Path] = []
    with attempt():  # all of them or none: a half would be in the way of other runs
        for place in places:
            file = _file_of(root, place)
            if file not in _held:
                _take(root, file, what)
                taken.append(place)
    return taken


@contextlib.contextmanager
def attempt() -> Iterator[None]:
    """A block that gives back what was taken inside it where it fails; what it had before stays."""
    own: list[Path] = []
    outer, token = _here.get(), _here.set(own)
    try:
        yield
    except BaseException:
        for file in own:
            _release(file)
        raise
    finally:
        _here.reset(token)
    if outer is not None:
        outer.extend(own)


def _take(root: Path, file: Path, what: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        check_inside(root.absolute(), file.parent)
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
    if (here := _here.get()) is not None:
        here.append(file)
    who = {"process": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError):
        _note_of(file).unlink(missing_ok=True)  # of a crash; never written through a link
        with _note_of(file).open("x") as note:
            json.dump(who, note)


def release(root: Path, place: Path) -> None:
    """Gives a place back, where this process holds it."""
    _release(_file_of(root, place))


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
    for gone in (_note_of(file), file):
        with contextlib.suppress(OSError):  # while it is held: whoever opens it later makes it anew
            gone.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        lock.release()
    with contextlib.suppress(OSError):
        file.parent.rmdir()


def _file_of(root: Path, place: Path) -> Path:
    name = "+".join(place.parts)
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}+{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return Path(os.path.abspath(root)) / FOLDER / f"{name}.lock"


def _note_of(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(".lock") + ".json")


def _holder(file: Path) -> str:
    try:
        who = json.loads(read_plain(_note_of(file), 1 << 12))
        return f"process {who['process']}, since {who['since']}"
    except (OSError, CorruptError, ValueError, KeyError, TypeError):
        return "another process"
