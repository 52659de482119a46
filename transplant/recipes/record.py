"""The record of finished steps, in the library beside what they made: `.recipes/NAME-HASH.json`.

One file for each recipe, by its path; other recipes do not share it, so that none of them takes the
artifacts of another for its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transplant.errors import CorruptError, StorageError
from transplant.files import strict_json
from transplant.files.decode import decode
from transplant.files.former_keys import with_present_keys
from transplant.files.lock import locked
from transplant.files.plain import read_plain, real
from transplant.files.results import write_json
from transplant.recipes.recorded import Artifact

SCHEMA_VERSION = 1
LARGEST = 1 << 28  # bytes; reports may hold curves


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A step that was finished."""

    name: str
    verb: str
    key: str
    """The hash of all that its text and the settings say; see `key_of`."""
    report: Any
    passed: bool
    seconds: float
    read: tuple[Artifact, ...]
    """The artifacts that it read."""
    read_files: dict[str, str]
    """The hashes of the files that it read, by path."""
    written: tuple[Artifact, ...]
    """The artifacts that it made."""
    written_files: dict[str, str]
    """The hashes of the files that it wrote, by path."""


@dataclass(kw_only=True)
class Record:
    """What a recipe has finished, and what it was at when it was stopped."""

    path: Path
    """The file of the record."""
    recipe: str
    """The recipe's."""
    steps: list[Finished] = field(default_factory=list)
    running: str | None = None
    """The key of the step that has begun and not ended."""
    begun: list[Artifact] = field(default_factory=list)
    """What steps have made that did not end."""

    @property
    def made(self) -> list[Artifact]:
        """All that this recipe has made, and so may replace."""
        return [*(one for step in self.steps for one in step.written), *self.begun]

    def finished(self, key: str) -> Finished | None:
        """The step of a key; None where none was finished."""
        return next((step for step in self.steps if step.key == key), None)

    def begin(self, key: str) -> None:
        """Notes that a step begins."""
        self.running = key
        self._write()

    def note_made(self, artifact: Artifact) -> None:
        """Notes what the running step has made, in case that it does not come to its end."""
        self.begun = [old for old in self.begun if old.place != artifact.place] + [artifact]
        self._write()

    def end(self, step: Finished) -> None:
        """Notes a step as finished, in the place of whatever made the same things before."""
        made = {one.place for one in step.written}
        self.steps = [
            old for old in self.steps
            if old.name != step.name
            and not (made & {one.place for one in old.written})
            and not (step.written_files.keys() & old.written_files.keys())
        ]  # fmt: skip
        self.steps.append(step)
        self.begun = [old for old in self.begun if old.place not in made]
        self.running = None
        self._write()

    def _write(self) -> None:
        steps = [{**asdict(step), "report": step.report} for step in self.steps]
        write_json(self.path, {
            "schema_version": SCHEMA_VERSION, "recipe": self.recipe, "running": self.running,
            "begun": [asdict(one) for one in self.begun], "steps": steps,
        })  # fmt: skip


def key_of(facts: Mapping[str, Any]) -> str:
    """The hash of what a step is asked with."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def open_record(root: Path, recipe: Path) -> Iterator[Record]:
    """The record of a recipe, for one process alone.

    Args:
        root: of the library.
        recipe: the file; its path without links is what it is known by.

    Raises:
        StorageError: another process runs the recipe, or the disk refused.
        CorruptError: the file is damaged.
    """
    path = record_path(root, recipe)
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            had = held.enter_context(locked(path.with_suffix(".lock"), remove=True))
        except OSError as error:
            raise StorageError(f"cannot write {path}", found=error.strerror) from error
        if not had:
            raise StorageError(f"another process runs {recipe}", hint="wait for it")
        yield read_record(root, recipe)


def read_record(root: Path, recipe: Path) -> Record:
    """The record as it stands; an empty one where there is none.

    Raises:
        CorruptError: the file is damaged.
    """
    path, name = record_path(root, recipe), str(real(recipe))
    try:
        text = read_plain(path, LARGEST).decode()
        data = strict_json.parse(text)
    except FileNotFoundError:
        return Record(path=path, recipe=name)
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        raise _damaged(path, "another version")
    steps: Sequence[Any] = data.get("steps") or []
    for step in steps:
        if isinstance(step, dict) and "report" in step:
            step["report"] = with_present_keys(step["report"])
    found = [decode(Finished, step, f"{path}: steps[{n}]") for n, step in enumerate(steps)]
    begun = decode(tuple[Artifact, ...], data.get("begun") or [], f"{path}: begun")
    return Record(path=path, recipe=name, steps=found, running=data.get("running"), begun=[*begun])


def record_path(root: Path, recipe: Path) -> Path:
    """Where the record of a recipe stands."""
    own = hashlib.sha256(str(real(recipe)).encode()).hexdigest()[:12]
    return root / ".recipes" / f"{recipe.stem}-{own}.json"


def _damaged(path: Path, found: str) -> CorruptError:
    return CorruptError(
        f"the record {path}", expected="what a recipe has finished", found=found[:80],
        hint="remove it: the recipe runs from its first step, under names that are free",
    )  # fmt: skip
