"""Names of backbones in a registry: the folders and the fingerprints that they stand for."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import platformdirs

from transplant.errors import ArtifactError, InputError, StorageError
from transplant.files.plain import check_inside, check_plain, check_root, expand
from transplant.files.remembered import HASH, Memory
from transplant.files.shards import weight_files
from transplant.library import Fingerprints

from . import catalog
from .bases import Base
from .entry import Entry
from .manifest import BackboneRecord
from .names import backbone_key, is_folder, is_hub_id
from .reads import MANIFEST, ManifestReads
from .seal import check_files

REFERENCE = Path(__file__).parent / "reference"


@dataclass(frozen=True)
class Backbones:
    """The folders that a registry reads, and what the names of backbones stand for there."""

    root: Path
    """Where artifacts are written; created by the first write."""
    reference: Path = REFERENCE
    """What ships with the package: readable, never written."""
    lock_timeout_s: float = 60.0
    """How long a writer waits for another one, in seconds."""
    met: dict[str, BackboneRecord] = field(default_factory=dict, compare=False, repr=False)
    """What the names of backbones stood for that this process has loaded."""
    claimed: list[tuple[tuple[str, ...], str, str, int | None]] = field(
        default_factory=list, compare=False, repr=False
    )
    """Kinds, name, backbone and width of what was claimed before its backbone was loaded."""
    reads: ManifestReads = field(default_factory=ManifestReads, compare=False, repr=False)
    """The manifests that were read, each once as long as its file stays as it was."""

    @classmethod
    def open(cls, root: Path | None = None) -> Self:
        """The registry at `root`, else at `$ABI_REGISTRY`, else in the user's data folder.

        Raises:
            StorageError: a path that leads nowhere, as `~nobody`.
        """
        chosen = root or os.environ.get("ABI_REGISTRY") or platformdirs.user_data_dir("abi")
        try:
            return cls(expand(chosen).absolute())
        except (InputError, OSError) as error:  # no such user; the working directory is gone
            raise StorageError(
                f"the registry {chosen}",
                expected="a folder",
                found=str(error),
                hint="`registry`, an absolute path",
            ) from error

    @property
    def checked_file(self) -> Path | None:
        """Where loads keep what they have checked; None before the first artifact is written."""
        return self.root / ".checked.json" if self.root.is_dir() else None

    def holds_backbone(self, name: str) -> bool:
        """Whether a backbone of that name is here, damaged or not."""
        return self._backbone_folder(name) is not None

    def backbone_path(self, name: str) -> Path | None:
        """The folder of a backbone that the registry holds, for `from_pretrained`.

        Raises:
            NotFoundError: it was added by reference, and the user's folder is gone.
            CorruptError: its configuration or tokenizer is not as it was written, a file of it is a
                link, a pipe or a device, or the folder is a link.
        """
        found = self._backbone_folder(name)
        if found is None:
            return None
        folder, base = found
        check_inside(base.root, folder)
        check_plain(folder, follow=base.shipped)
        self._check_files(folder, base.shipped)
        if weight_files(folder):
            return folder
        entry = self._backbone(name)
        entry.check_home()
        return entry.home

    def backbone_record(self, name: str) -> BackboneRecord | None:
        """The fingerprints of a backbone that its manifest promises."""
        if not self.holds_backbone(name):
            return None
        return self._backbone(name).manifest.backbone

    def fingerprints(self, backbone: str) -> Fingerprints | None:
        """What a name stands for, as far as that is known without loading it.

        A backbone of this registry is what its manifest says; a folder what it was when it was last
        checked, if no file of it has changed since; anything else what it was loaded as.
        """
        key = backbone_key(backbone)
        if self._backbone_folder(backbone) is not None:
            with suppress(ArtifactError, StorageError):
                return self._backbone(backbone).manifest.backbone
            return None
        folder = expand(backbone)
        memory = Memory(self.checked_file, folder.resolve() if folder.is_dir() else None)
        return memory.recall(memory.state()) or self.met.get(key)

    def _is_of(self, entry: Entry, backbone: str | None) -> bool:
        """Whether an artifact has its name on a backbone.

        It was made under that very name, or for the same weights under one that leads nowhere now.
        """
        known = entry.manifest.backbone.id
        if backbone is None or backbone_key(known) == backbone_key(backbone):
            return True
        if is_hub_id(known) or expand(known).is_dir():
            return False
        return is_folder(known) or not self.holds_backbone(known)

    def _same(self, backbone: str | None) -> Fingerprints | None:
        """The fingerprints to search by; None where there are no whole ones."""
        found = None if backbone is None else self.fingerprints(backbone)
        whole = found is not None and HASH.fullmatch(found.weights_sha256)
        return found if whole else None

    def _backbone(self, name: str) -> Entry:
        return catalog.find(self._bases(), "backbone", name, None, None)

    def _backbone_folder(self, name: str) -> tuple[Path, Base] | None:
        folders = [(base.root / backbone_key(name), base) for base in self._bases()]
        return next((it for it in folders if os.path.lexists(it[0] / MANIFEST)), None)

    def _bases(self) -> list[Base]:
        check_root(self.root)
        own = [] if self.root == self.reference else [Base(self.root, False, self.reads)]
        return [*own, Base(self.reference, True, self.reads)]

    def _check_files(self, folder: Path, shipped: bool) -> None:
        """Compares a backbone's configuration and tokenizer with what its manifest promises."""
        file = folder / MANIFEST
        check_files(file, self.reads.read(file, follow=shipped).files, follow=shipped)
