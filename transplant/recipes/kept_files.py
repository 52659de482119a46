"""Files that a step reads and writes, by their hashes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from transplant.files.plain import expand

CHUNK = 1 << 20  # bytes
COARSE_NS = 2_000_000_000  # the coarsest times of a file system, those of FAT
OUT = ("out", "junit", "peft", "plot")
"""Parameters that name what a verb writes; other paths among its options are read."""
REPORTED = ("files", "file", "plot", "out", "html", "page")
"""Keys of reports that name what was written."""


def hash_of(path: Path) -> str | None:
    """The sha256 of a file, or of the names and hashes of all files in a folder.

    None where there is nothing, or nothing that can be read.
    """
    with suppress(OSError):
        if path.is_file():
            return _hash_file(path)
        if path.is_dir():
            lines = [
                f"{file.relative_to(path).as_posix()} {_hash_file(file)}\n"
                for file in sorted(path.rglob("*"))
                if file.is_file()
            ]
            return hashlib.sha256("".join(lines).encode()).hexdigest()
    return None


def files_read(options: Mapping[str, Any], base: Path) -> dict[str, str]:
    """The hashes of the files and folders that options name, by absolute path.

    A text counts where it is a path that is there, whole, behind `NAME=` or `NAME@`, or before
    `:TAP`.

    Args:
        options: values by parameter.
        base: what relative paths are relative to.
    """
    found: dict[str, str] = {}
    for name, value in options.items():
        for text in () if name in OUT else _texts(value):
            ends = (text.partition("=")[2], text.partition("@")[2], text.rpartition(":")[0])
            for one in {text, *ends, *text.split(",")} - {""}:
                path = _path(one, base)
                sha256 = None if path is None else hash_of(path)
                if path is not None and sha256 is not None:
                    found[str(path)] = sha256
    return found


class Watched:
    """Places that a step may write to, looked at before and after.

    Args:
        options: values by parameter, defaults too.
        base: what relative paths are relative to.
    """

    def __init__(self, options: Mapping[str, Any], base: Path) -> None:
        self._base, self._began = base, time.time_ns() - COARSE_NS
        named = [_path(str(options[key]), base) for key in OUT if options.get(key) is not None]
        self.places = [path for path in named if path is not None]
        self._before = {file: _state(file) for place in self.places for file in _files(place)}

    def written(self, report: Any) -> dict[str, str]:
        """The hashes of the files that are new or were changed, by absolute path.

        Args:
            report: of the step; what it names as written counts, wherever it is.
        """
        told = [_path(text, self._base) for text in _reported(report)]
        files = {file for place in self.places for file in _files(place)}
        files |= {file for place in told if place for file in _files(place) if self._is_new(file)}
        found: dict[str, str] = {}
        for file in sorted(files):
            if file not in self._before or self._before[file] != _state(file):
                sha256 = hash_of(file)
                if sha256 is not None:
                    found[str(file)] = sha256
        return found

    def _is_new(self, file: Path) -> bool:
        """Whether it was written since: a name that a report has may be another file's here."""
        return file.stat().st_mtime_ns >= self._began


def remove_written(files: Mapping[str, str], places: Iterable[Path]) -> None:
    """Removes files of an earlier run that are as it wrote them, and folders that this empties.

    Args:
        files: their hashes, by path.
        places: of the step that runs again; files elsewhere stay.
    """
    inside = [*places]
    for text, sha256 in files.items():
        file = Path(text)
        if any(file == place or place in file.parents for place in inside):
            if hash_of(file) == sha256:
                file.unlink(missing_ok=True)
            for folder in file.parents:
                if not any(folder == place or place in folder.parents for place in inside):
                    break
                with suppress(OSError):  # not empty
                    folder.rmdir()


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _path(text: str, base: Path) -> Path | None:
    """An absolute path; None for what can be none."""
    try:
        return base / expand(text)
    except Exception:  # a NUL, a user who is not there: no path of ours
        return None


def _files(place: Path) -> Iterator[Path]:
    with suppress(OSError):
        if place.is_dir():
            yield from (file for file in place.rglob("*") if file.is_file())
        elif place.is_file():
            yield place


def _state(file: Path) -> tuple[int, ...]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _reported(report: Any) -> Iterator[str]:
    if isinstance(report, Mapping):
        for key in REPORTED:
            yield from _texts(report.get(key))
