"""The state of a source on this disk: whether it still is what was read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from transplant.errors import CorpusError, InputError
from transplant.files.plain import expand
from transplant.text.files import list_files
from transplant.text.several import names_of

State = tuple[tuple[str, int, int, int, int], ...]
"""Path, size, times of modification and of change in nanoseconds, and inode of each file."""


def state_of(source: str) -> State:
    """The files of a source as they stand; none of what is not on this disk, or built in.

    Args:
        source: of `read_corpus`; several as `A,B`.
    """
    found = []
    for path in _files(source):
        with suppress(OSError):  # a link that leads nowhere: whoever reads it says so
            stat = path.stat()
            facts = stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
            found.append((str(path), *facts))
    return tuple(found)


def _files(source: str) -> Iterator[Path]:
    try:
        names = names_of(source)
    except CorpusError:
        return
    for name in names:
        for one in dict.fromkeys((name, name.partition(":")[0])):  # a data set's folder, its split
            with suppress(InputError, OSError):
                path = expand(one).absolute()
                if one.strip() and path.is_dir():
                    yield from list_files(path, lambda _: None)
                elif one.strip() and path.is_file():
                    yield path
