"""Manifests read from the disk, each once as long as its file stays as it was."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transplant.errors import CorruptError, StorageError
from transplant.files.plain import read_plain

from .manifest import Manifest
from .seal import promised_files

MANIFEST = "manifest.json"
MAX_MANIFEST = 1 << 26  # bytes; the counts of a vocabulary of 256,000 tokens take 6 MB
_KEPT = 256  # manifests; the least recently read goes first
_SETTLED_NS = 2_000_000_000  # the coarsest times of a file system, those of FAT


@dataclass(frozen=True)
class ManifestFile:
    """What one file says."""

    manifest: Manifest
    """The artifact."""
    files: Any
    """The hashes of the files beside it, as they stand there: unchecked."""


@dataclass
class ManifestReads:
    """The manifest files that one registry has read.

    A file counts as the same while its device, inode, size and times are. One that has changed
    within the last seconds is read each time: its times could not tell one change from the next.
    """

    _known: dict[Path, tuple[tuple[int, ...], ManifestFile]] = field(default_factory=dict)

    def read(self, file: Path, *, follow: bool) -> ManifestFile:
        """What a manifest file says now.

        Args:
            file: the file.
            follow: whether a link to one will do.

        Raises:
            FileNotFoundError, NotADirectoryError: there is none.
            CorruptError: no manifest, or no plain file.
            VersionError: a newer version of this tool wrote it.
            StorageError: the disk refused to read it.
        """
        try:
            before = _identity(file, follow)
            known = self._known.pop(file, None)
            if known is None or known[0] != before:
                text = read_plain(file, MAX_MANIFEST, follow=follow).decode()
                found = ManifestFile(Manifest.from_json(text, file), promised_files(text))
                known = (before, found)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except UnicodeDecodeError as error:
            raise CorruptError(f"{file}: {error}", expected="JSON in UTF-8") from error
        except OSError as error:
            raise StorageError(f"cannot read {file}: {error}") from error
        if time.time_ns() - max(before[-2:]) > _SETTLED_NS:
            self._known[file] = known
            while len(self._known) > _KEPT:
                self._known.pop(next(iter(self._known)), None)
        return known[1]


def _identity(file: Path, follow: bool) -> tuple[int, ...]:
    stat = os.stat(file, follow_symlinks=follow)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
