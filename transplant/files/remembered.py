"""Fingerprints of folders that were checked before, so that a load need not read every byte twice.

A folder is known again by the size, the times of modification and of change (both in nanoseconds)
and the inode of every file in it, links followed; by the versions that read it, too. A folder that
was moved within its disk has all of them, and is known under its new path. Where all of them are as
they were, its weights were hashed, found finite and whole, and tried on a few tokens: none of this
is done again. Where one differs, all of it is.

They are kept in one file, which the registry names (`.checked.json` in its root, beside the
artifacts); where no file is named, or it cannot be read or written, every load checks again.

Not covered: bytes that change beneath the file system, with no time of change (a failing disk, a
disk written to while it was not mounted, a clock that is set back, file systems that keep neither
inodes nor times of change). `abi show NAME --verify` reads every byte. Nothing is kept of files
that changed less than two seconds ago: a further change may have the same time.
"""

from __future__ import annotations

import functools
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

YOUNG_S = 2.0
MOST = 200  # folders that one file knows
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Checked:
    """What a folder held when all of it was checked."""

    weights_sha256: str
    tokenizer_sha256: str
    config_sha256: str


@dataclass(frozen=True)
class Memory:
    """What is known of one folder.

    Args:
        file: where it is kept; None to know nothing.
        folder: the model's; None where it is not on this disk.
    """

    file: Path | None
    folder: Path | None

    def state(self) -> dict[str, Any] | None:
        """The folder as it stands; None where nothing can be known of it."""
        if self.file is None or self.folder is None:
            return None
        try:
            files = {path.name: path.stat() for path in self.folder.iterdir() if path.is_file()}
        except OSError:
            return None
        return {
            "files": {
                name: [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
                for name, stat in sorted(files.items())
            },
            "versions": _versions(),
        }

    def recall(self, state: dict[str, Any] | None) -> Checked | None:
        """The fingerprints of the folder in that state; None where it was not checked in it."""
        if state is None:
            return None
        records = self._read()
        held = records.pop(str(self.folder), None)
        for record in (held, *records.values()):  # a folder that was renamed has the same files
            if isinstance(record, dict) and record.get("state") == state:
                return _sound(record.get("checked"))
        return None

    def keep(self, state: dict[str, Any] | None, checked: Checked) -> None:
        """Keeps the fingerprints of a folder, if it still is in the state that was read."""
        if state is None or state != self.state() or _young(state["files"].values()):
            return
        assert self.file is not None
        held = self._read()
        held.pop(str(self.folder), None)
        held = dict([*held.items()][1 - MOST :])
        held[str(self.folder)] = {"state": state, "checked": asdict(checked)}
        partial = self.file.with_name(f"{self.file.name}.{os.getpid()}.tmp")
        try:
            partial.write_text(json.dumps(held))
            partial.replace(self.file)
        except OSError:  # a registry that is read-only, a full disk: checked again next time
            partial.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        if self.file is None or not self.file.is_file():
            return {}
        try:
            held = json.loads(self.file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return held if isinstance(held, dict) else {}


def _sound(checked: Any) -> Checked | None:
    """Fingerprints as they were kept; None where they are none."""
    try:
        found = Checked(**checked)
    except TypeError:
        return None
    sound = all(isinstance(it, str) and HASH.fullmatch(it) for it in asdict(found).values())
    return found if sound else None


@functools.cache  # a metadata file is read for each
def _versions() -> list[str]:
    return [metadata.version(name) for name in ("transformers", "tokenizers")]


def _young(files: Iterable[list[int]]) -> bool:
    latest = max((max(mtime, ctime) for _, mtime, ctime, _ in files), default=0)
    return time.time_ns() - latest < YOUNG_S * 1e9
