"""The reading side of a registry: finding artifacts, and their verified tensors."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import platformdirs

from registry import catalog
from registry.entry import Broken, Entry, unchanged, weight_files
from registry.manifest import KINDS, BackboneRecord
from registry.names import backbone_key, is_folder, is_hub_id, parse_hosted
from registry.reads import MANIFEST, ManifestReads
from registry.seal import check_files
from transplant.errors import (
    ArtifactError,
    InputError,
    StorageError,
)
from transplant.files import safetensors
from transplant.files.plain import check_inside, check_plain, check_root, expand
from transplant.files.remembered import HASH, Memory
from transplant.library import Fingerprints, HostedName, difference

if TYPE_CHECKING:
    from torch import Tensor


REFERENCE = Path(__file__).parent / "reference"


@dataclass(frozen=True)
class Fetched:
    """What hosting a stored module takes."""

    taps: tuple[int, ...]
    backbone: BackboneRecord
    module: str | None
    sha256: str
    tensors: dict[str, Tensor]
    made: dict[str, Any]
    parents: dict[str, str]


@dataclass(frozen=True)
class Reader:
    """What can be read of the artifacts under one root, and of those that ship with the package."""

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

    def entries(self, kind: str | None = None, backbone: str | None = None) -> list[Entry]:
        """Every readable artifact, sorted by backbone, kind, name and d_abi.

        Raises:
            InputError: an unknown kind, or a backbone that cannot be one.
        """
        if kind is not None:
            catalog.check_kind(kind)
        items = catalog.scan(self._bases(), backbone, self._same(backbone))
        found = [item for item in items if isinstance(item, Entry)]
        return sorted((e for e in found if kind in (None, e.manifest.kind)), key=_order)

    def problems(self, backbone: str | None = None) -> list[ArtifactError | StorageError]:
        """What `entries` left out: one error for each folder that it could not read."""
        items = catalog.scan(self._bases(), backbone)
        return [item for item in items if not isinstance(item, Entry)]

    def choices(
        self, kind: str, backbone: str | None = None, name: str | None = None,
        d_abi: int | None = None,
    ) -> list[Entry]:  # fmt: skip
        """What a search by other facts than the whole name chooses from, in the order of `entries`.

        Of a width of 0 are those that have none. A damaged one is not passed over: the search would
        take another, or make one anew.

        Raises:
            CorruptError, VersionError: the manifest of one of them cannot be used.
        """
        catalog.check_kind(kind)
        same = self._same(backbone)
        found = catalog.choices(self._bases(), kind, backbone, name, d_abi, same)
        return sorted(found, key=_order)

    def find(
        self, kind: str, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Entry:
        """The one artifact of that name; a backbone needs no `backbone`.

        Raises:
            NotFoundError: there is none; the message lists the closest names.
            InputError: there are several: add `/d<d_abi>`.
            CorruptError: it is there, with a broken manifest.
        """
        return catalog.find(self._bases(), kind, name, backbone, d_abi, self._same(backbone))

    def get(
        self, kind: str, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Entry | None:
        """The one artifact of that name; None where there is none, and then no others are read.

        Raises:
            InputError, CorruptError: as `find`.
        """
        return catalog.get(self._bases(), kind, name, backbone, d_abi, self._same(backbone))

    def held(
        self, kind: str, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Entry | Broken | None:
        """The one artifact of that name, even a broken one, as `remove` takes it; None for none.

        Raises:
            InputError: as `find`.
        """
        return catalog.held(self._bases(), kind, name, backbone, d_abi, self._same(backbone))

    def fingerprints(self, backbone: str) -> Fingerprints | None:
        """What a name stands for, as far as that is known without loading it.

        A backbone of this registry is what its manifest says; a folder what it was when it was last
        checked, if no file of it has changed since; anything else what it was loaded as.
        """
        key = backbone_key(backbone)
        if self._backbone_folder(backbone) is not None:
            with suppress(ArtifactError, StorageError):
                return self.find("backbone", backbone).manifest.backbone
            return None
        folder = expand(backbone)
        memory = Memory(self.checked_file, folder.resolve() if folder.is_dir() else None)
        return memory.recall(memory.state()) or self.met.get(key)

    def called(self, backbone: Fingerprints) -> list[str]:
        """The names under which a backbone of these fingerprints is in the registry."""
        here = [entry for entry in self.entries("backbone") if entry.home.is_dir()]
        return [e.hosted for e in here if difference(e.manifest.backbone, backbone) is None]

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
        entry = self.find("backbone", name)
        entry.check_home()
        return entry.home

    def split_name(self, name: str) -> HostedName:
        """The parts of a hosted name, for `transplant.load`; see `parse_hosted`."""
        return parse_hosted(name)

    @property
    def checked_file(self) -> Path | None:
        """Where loads keep what they have checked; None before the first artifact is written."""
        return self.root / ".checked.json" if self.root.is_dir() else None

    def backbone_record(self, name: str) -> BackboneRecord | None:
        """The fingerprints of a backbone that its manifest promises."""
        if not self.holds_backbone(name):
            return None
        return self.find("backbone", name).manifest.backbone

    def fetch(self, kind: str, name: str, backbone: str, d_abi: int | None = None) -> Fetched:
        """One artifact with its verified tensors, for `transplant.load`.

        Raises:
            NotFoundError, InputError, CorruptError: as `find` and `read`.
        """
        return self.load(self.find(kind, name, backbone, d_abi))

    def load(self, entry: Entry) -> Fetched:
        """An artifact that was found, with its verified tensors.

        Raises:
            NotFoundError, CorruptError: as `read`.
        """
        manifest = entry.manifest
        return Fetched(
            manifest.taps,
            manifest.backbone,
            manifest.parents.get("module_here"),
            manifest.sha256,
            self.read(entry),
            manifest.made,
            manifest.parents,
        )

    def verify(self, entry: Entry) -> None:
        """Compare every tensor on the disk with the manifest, without torch.

        Raises:
            CorruptError: naming the file and the tensor.
            NotFoundError: it was replaced or removed since it was found.
        """
        with unchanged(entry, self.reads):
            self._verify(entry)

    def read(self, entry: Entry) -> dict[str, Tensor]:
        """The tensors of an artifact, on the CPU, after every sha256 was verified.

        Raises:
            CorruptError: naming the file and the tensor.
            NotFoundError: it was replaced or removed since it was found.
        """
        with unchanged(entry, self.reads):  # what is loaded is what was verified
            self._verify(entry)
            files = entry.weight_files
            return {key: t for file in files for key, t in safetensors.load(file).items()}

    def _backbone_folder(self, name: str) -> tuple[Path, catalog.Base] | None:
        folders = [(base.root / backbone_key(name), base) for base in self._bases()]
        return next((it for it in folders if os.path.lexists(it[0] / MANIFEST)), None)

    def _bases(self) -> list[catalog.Base]:
        check_root(self.root)
        own = [] if self.root == self.reference else [catalog.Base(self.root, False, self.reads)]
        return [*own, catalog.Base(self.reference, True, self.reads)]

    def _verify(self, entry: Entry) -> None:
        made_again = f"`rm({entry.hosted!r})`, and make it again"
        again = "reinstall the package" if entry.shipped else made_again
        entry.check_home()
        follow, promised = entry.shipped or entry.home != entry.path, entry.manifest.tensors
        files = entry.weight_files or [entry.weights]
        for file in files[1:]:  # of several, each answers for its own; the first for the rest
            held = safetensors.hash_tensors(file, follow=follow)
            own = {name: promised[name] for name in held.keys() & promised.keys()}
            safetensors.verify(file, own, hint=again, follow=follow)
            promised = {name: record for name, record in promised.items() if name not in held}
        safetensors.verify(files[0], promised, hint=again, follow=follow)
        self._check_files(entry.path, entry.shipped)

    def _check_files(self, folder: Path, shipped: bool) -> None:
        """Compares a backbone's configuration and tokenizer with what its manifest promises."""
        file = folder / MANIFEST
        check_files(file, self.reads.read(file, follow=shipped).files, follow=shipped)


def _order(entry: Entry) -> tuple[str, int, str, int]:
    manifest = entry.manifest
    kind = KINDS.index(manifest.kind)
    return manifest.backbone.id, kind, manifest.name, manifest.d_abi or 0
