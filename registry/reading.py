"""The reading side of a registry: finding artifacts, and their verified tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.errors import ArtifactError, StorageError
from transplant.files import safetensors
from transplant.files.tensors_on_disk import TensorsOnDisk
from transplant.library import Fingerprints, HostedName, difference

from . import catalog
from .backbones import Backbones
from .entry import Broken, Entry, unchanged
from .manifest import KINDS, BackboneRecord
from .names import parse_hosted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True)
class Fetched:
    """What hosting a stored module takes."""

    taps: tuple[int, ...]
    backbone: BackboneRecord
    module: str | None
    sha256: str
    tensors: Mapping[str, Tensor]
    made: dict[str, Any]
    parents: dict[str, str]


class Reader(Backbones):
    """What can be read of the artifacts under one root, and of those that ship with the package."""

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

    def called(self, backbone: Fingerprints) -> list[str]:
        """The names under which a backbone of these fingerprints is in the registry."""
        here = [entry for entry in self.entries("backbone") if entry.home.is_dir()]
        return [e.hosted for e in here if difference(e.manifest.backbone, backbone) is None]

    def split_name(self, name: str) -> HostedName:
        """The parts of a hosted name, for `transplant.load`; see `parse_hosted`."""
        return parse_hosted(name)

    def fetch(self, kind: str, name: str, backbone: str, d_abi: int | None = None) -> Fetched:
        """One artifact with its verified tensors, for `transplant.load`.

        Raises:
            NotFoundError, InputError, CorruptError: as `find` and `read`.
        """
        return self.load(self.find(kind, name, backbone, d_abi))

    def load(self, entry: Entry, *, on_disk: bool = False) -> Fetched:
        """An artifact that was found, with its verified tensors.

        Args:
            entry: the artifact.
            on_disk: whether its tensors stay there, each read and verified when it is asked for.

        Raises:
            NotFoundError, CorruptError: as `read`.
        """
        manifest = entry.manifest
        if on_disk:
            entry.check_home()
            files, follow = _weights_of(entry)
            tensors = TensorsOnDisk(files, manifest.tensors, follow=follow)
        else:
            tensors = self.read(entry)
        return Fetched(
            manifest.taps,
            manifest.backbone,
            manifest.parents.get("module_here"),
            manifest.sha256,
            tensors,
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

    def _verify(self, entry: Entry) -> None:
        made_again = f"`rm({entry.hosted!r})`, and make it again"
        again = "reinstall the package" if entry.shipped else made_again
        entry.check_home()
        (files, follow), promised = _weights_of(entry), entry.manifest.tensors
        for file in files[1:]:  # of several, each answers for its own; the first for the rest
            held = safetensors.hash_tensors(file, follow=follow)
            own = {name: promised[name] for name in held.keys() & promised.keys()}
            safetensors.verify(file, own, hint=again, follow=follow)
            promised = {name: record for name, record in promised.items() if name not in held}
        safetensors.verify(files[0], promised, hint=again, follow=follow)
        self._check_files(entry.path, entry.shipped)


def _weights_of(entry: Entry) -> tuple[list[Path], bool]:
    """The files of its tensors, one at least, and whether they may be links."""
    return entry.weight_files or [entry.weights], entry.shipped or entry.home != entry.path


def _order(entry: Entry) -> tuple[str, int, str, int]:
    manifest = entry.manifest
    kind = KINDS.index(manifest.kind)
    return manifest.backbone.id, kind, manifest.name, manifest.d_abi or 0
