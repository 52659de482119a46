"""Runs: reports that verbs have written as JSON into folders which the user names.

The files are found when a page asks for them, under the named folders alone, no links followed; a
request names one by a hash of its place, which leads to nothing but those that were found.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transplant.errors import CorruptError, NotFoundError, TransplantError, foreign
from transplant.files.former_keys import with_present_keys
from transplant.files.plain import read_plain
from transplant.files.result_kinds import kind_of_file
from transplant.files.strict_json import parse

MOST, DEEP = 500, 4
"""Files that are shown, and folders that are gone into."""
LARGEST = 1 << 24
"""Bytes of a report."""


@dataclass(frozen=True)
class Run:
    """A file that may hold a report."""

    id: str
    name: str
    """Its place, as the user named the folder."""
    path: Path
    modified: float
    """Seconds since 1970."""
    bytes: int


class Runs:
    """The reports under some folders, or in some files.

    Args:
        places: as the user named them.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = tuple(places)
        self._read: dict[tuple[str, float, int], Any] = {}

    def found(self) -> list[Run]:
        """The files, the newest first."""
        seen = {run.id: run for place in self._places for run in _files(place)}
        return sorted(seen.values(), key=lambda run: (-run.modified, run.name))[:MOST]

    def get(self, id: str) -> Run:
        """A file by its id.

        Raises:
            NotFoundError: there is none.
        """
        found = next((run for run in self.found() if run.id == id), None)
        if found is None:
            raise NotFoundError("no such run in the folders that the studio was given")
        return found

    def read(self, run: Run) -> Any:
        """What a file holds.

        Raises:
            CorruptError: no JSON, a link, or too large.
        """
        key = (run.id, run.modified, run.bytes)
        if key not in self._read:
            with foreign(f"cannot read {run.name}", CorruptError, expected="a report as JSON"):
                data = with_present_keys(parse(read_plain(run.path, LARGEST).decode()))
            while len(self._read) > 16:
                del self._read[next(iter(self._read))]
            self._read[key] = data
        return self._read[key]

    def kind(self, run: Run) -> str:
        """What a file holds, in a word; `unreadable` where it cannot be read."""
        try:
            return kind_of_file(self.read(run))
        except TransplantError:
            return "unreadable"


def _files(place: Path) -> Iterator[Run]:
    if place.is_file():
        yield from _run(place, place.name)
        return
    for folder, inside, names in os.walk(place, followlinks=False):
        depth = len(Path(folder).relative_to(place).parts)
        inside[:] = [] if depth >= DEEP else sorted(n for n in inside if not n.startswith("."))
        for name in sorted(names):
            if name.endswith(".json") and name != "manifest.json":
                path = Path(folder, name)
                yield from _run(path, str(Path(place.name, path.relative_to(place))))


def _run(path: Path, name: str) -> Iterator[Run]:
    try:
        facts = path.lstat()
    except OSError:  # removed since it was listed
        return
    own = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    yield Run(own, name, path, facts.st_mtime, facts.st_size)
