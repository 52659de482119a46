"""One artifact on the disk: where it stands, and how its folder is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from transplant.errors import (
    ArtifactError,
    CorruptError,
    InputError,
    NotFoundError,
    StorageError,
    TransplantError,
)
from transplant.files.plain import check_inside
from transplant.files.shards import weight_files
from transplant.files.whole_folder import sibling

from .manifest import KINDS, Manifest
from .names import backbone_key
from .reads import MANIFEST, ManifestReads

REFERENCE = "reference"  # in `made`, of a backbone whose files stay where the user has them
_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An artifact that a registry holds."""

    path: Path
    """Its folder."""
    manifest: Manifest
    """What its manifest says."""
    shipped: bool
    """Whether it came with the package, and so is never written."""

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return self.manifest.kind

    @property
    def hosted(self) -> str:
        """Its full name: `python@ref-gpt2/d128`, or the backbone's own."""
        return self.manifest.hosted

    @property
    def home(self) -> Path:
        """The folder of its files: its own, or the user's that a reference leads to."""
        added = self.manifest.made.get("added", {}) if self.kind == "backbone" else {}
        return Path(added["path"]) if added.get("by") == REFERENCE else self.path

    @property
    def weights(self) -> Path:
        """Its safetensors file; of a backbone in shards there is none of that name."""
        name = "model.safetensors" if self.kind == "backbone" else "weights.safetensors"
        return self.home / name

    @property
    def weight_files(self) -> list[Path]:
        """Its safetensors files: one, or the shards of a backbone."""
        return weight_files(self.home) if self.kind == "backbone" else [self.weights]

    def check_home(self) -> None:
        """Refuse a reference whose folder is gone.

        Raises:
            NotFoundError: naming both, with the way to say where it is now.
        """
        if self.home == self.path or self.home.is_dir():
            return
        name = self.manifest.name
        raise NotFoundError(
            f"the folder of the backbone {name} is gone",
            expected=self.home,
            found="no such folder",
            hint=f"`add('FOLDER', name={name!r}, replace=True)` with where it is now, or "
            f"`rm({name!r})`",
        )


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A folder where an artifact should be, which cannot be read: it can be named and removed."""

    path: Path
    """The folder."""
    kind: str
    """The kind that its place is for."""
    hosted: str
    """The name of its place."""
    shipped: bool
    """Whether it came with the package."""
    error: TransplantError
    """What reading it gave."""


def place_of(manifest: Manifest) -> Path:
    """The folder of an artifact, relative to the root; `d0` where it has no d_abi."""
    if manifest.kind == "backbone":
        return Path(manifest.name)
    space = f"d{manifest.d_abi or 0}"
    return Path(backbone_key(manifest.backbone.id), space, manifest.kind, manifest.name)


def is_place(place: Path) -> bool:
    """Whether a relative folder is one where an artifact other than a backbone can be."""
    parts = place.parts
    return len(parts) == 4 and bool(re.fullmatch(r"d\d+", parts[1])) and parts[2] in KINDS[1:]


def name_at(place: Path) -> tuple[str, str]:
    """The kind of what a folder is for, and its full name: `("module", "python@ref-gpt2/d128")`."""
    if len(place.parts) == 1:
        return "backbone", place.name
    key, space, kind, name = place.parts
    return kind, f"{name}@{key}/{space}"


def read_entry(base: Path, place: Path, reads: ManifestReads, *, shipped: bool) -> Entry:
    """Read the manifest at `base / place`, or at the folder that stands in while it is replaced.

    An interface is there once the module that it was stored with is: the module comes last. Where
    the module is that of the interface that is being replaced, that one is read.

    Raises:
        NotFoundError: nothing is there, or an interface that a killed run left without its module.
        CorruptError: a folder without a manifest, or with one that is broken or belongs elsewhere,
            or one that is reached through a link; its hint removes it.
        VersionError: a newer version of this tool wrote it.
        StorageError: the disk refused to read it.
    """
    try:
        return _read(base, place, reads, shipped)
    except CorruptError as error:
        kind, hosted = name_at(place)
        again = "" if kind == "backbone" else f", kind={kind!r}"
        removal = f"`rm({hosted!r}{again})`" if hosted.isprintable() else "to remove that folder"
        if shipped:
            removal = "to reinstall the package"
        hints = [hint for hint in (error.hint, removal) if hint not in (None, "`list()`")]
        raise CorruptError(
            error.what, expected=error.expected, found=error.found, hint="; or ".join(hints)
        ) from error


def _read(base: Path, place: Path, reads: ManifestReads, shipped: bool) -> Entry:
    entry = _read_at(base, place, reads, shipped, ("", "old"))
    if entry.kind != "interface" or (needs := entry.manifest.parents.get("module_here")) is None:
        return entry
    key, space, _, name = place.parts
    beside = Path(key, space, "module", name)
    try:
        module = read_entry(base, beside, reads, shipped=shipped).manifest.sha256
    except NotFoundError as error:
        raise NotFoundError(
            f"the interface at {base / place} has no module", hint="make it again, or `rm('NAME')`"
        ) from error
    except TransplantError:  # of the module; it says so where it is read
        return entry
    if module != needs:
        with suppress(NotFoundError, CorruptError, StorageError):
            old = _read_at(base, place, reads, shipped, ("old",))
            if old.manifest.parents.get("module_here") == module:
                return old
    return entry


def _read_at(
    base: Path, place: Path, reads: ManifestReads, shipped: bool, roles: tuple[str, ...]
) -> Entry:
    final = base / place
    folders = tuple(sibling(final, role) if role else final for role in roles)
    was_there = final.is_dir()
    for folder in folders * _ATTEMPTS:  # a writer may be between its moves
        file = folder / MANIFEST
        try:
            check_inside(base, folder)
            manifest = reads.read(file, follow=shipped).manifest
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StorageError(f"cannot read {folder}: {error}") from error
        _check_place(manifest, place, file)
        return Entry(path=folder, manifest=manifest, shipped=shipped)
    # Not where a first write has just ended.
    if final in folders and was_there and final.is_dir():
        raise CorruptError(str(final / MANIFEST), expected="a manifest", found="no such file")
    raise NotFoundError(f"nothing at {final}", hint="`list()`")


@contextmanager
def unchanged(entry: Entry, reads: ManifestReads) -> Iterator[None]:
    """Check after the block that its files were the entry's throughout.

    Raises:
        NotFoundError: it was replaced or removed, whatever the block met: a file that is gone, or
            one that is not as the manifest promises.
    """
    before = _identity(entry.path)
    try:
        yield
    except (CorruptError, StorageError, OSError):
        _check_current(entry, reads, before)
        raise
    _check_current(entry, reads, before)


def _check_place(manifest: Manifest, place: Path, file: Path) -> None:
    # The backbone's folder is not compared: a relative path names another one elsewhere.
    try:
        own = place_of(manifest)
    except InputError as error:
        raise CorruptError(
            f"{file}: {error.what}", expected=error.expected, found=error.found
        ) from error
    if own.parts[1:] != place.parts[1:] or own.name != place.name:
        raise CorruptError(f"{file} is not this folder's", expected=place, found=own)


def _check_current(entry: Entry, reads: ManifestReads, before: tuple[int, int] | None) -> None:
    try:
        current = reads.read(entry.path / MANIFEST, follow=entry.shipped).manifest
    except (OSError, ArtifactError, StorageError):
        current = None
    # A replacement by the same tensors has an equal manifest, in another folder.
    if current != entry.manifest or before is None or _identity(entry.path) != before:
        raise NotFoundError(
            f"{entry.hosted} was replaced or removed while it was read", hint="the command again"
        )


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        stat = folder.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_ctime_ns
