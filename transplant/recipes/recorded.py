"""A library that notes what a step reads and writes, and lets it replace what it made before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from transplant.errors import TransplantError

if TYPE_CHECKING:
    from transplant.library import Entry, Library, Manifest


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One artifact as it was read or written."""

    kind: str
    name: str
    backbone: str | None
    """None for a backbone."""
    d_abi: int
    """0 for none."""
    sha256: str
    """Of its tensors and of the backbone that it belongs to."""

    @classmethod
    def of(cls, manifest: Manifest) -> Artifact:
        """What a manifest tells of."""
        own = manifest.kind == "backbone"
        identity = f"{manifest.sha256} {manifest.backbone.weights_sha256}"
        return cls(
            kind=manifest.kind, name=manifest.name, backbone=None if own else manifest.backbone.id,
            d_abi=manifest.d_abi or 0, sha256=hashlib.sha256(identity.encode()).hexdigest(),
        )  # fmt: skip

    @property
    def place(self) -> tuple[str, str, str | None, int]:
        """What it is, whatever its tensors are."""
        return self.kind, self.name, self.backbone, self.d_abi

    def __str__(self) -> str:
        """Its kind and its name."""
        return f"{self.kind} {self.name}" + (f"@{self.backbone}" if self.backbone else "")

    def entry(self, library: Library) -> Entry | None:
        """What has its place now; None where nothing has, or what has is broken."""
        with suppress(TransplantError):
            kind, name, backbone, d_abi = self.place
            return library.get(kind, name, backbone, d_abi if backbone else None)
        return None

    def stands(self, library: Library) -> bool:
        """Whether it is there as it was, by its manifest."""
        entry = self.entry(library)
        return entry is not None and Artifact.of(entry.manifest) == self

    def is_whole(self, library: Library) -> bool:
        """The same, with every tensor on the disk compared with its hash."""
        entry = self.entry(library)
        if entry is None or Artifact.of(entry.manifest) != self:
            return False
        try:
            library.verify(entry)
        except TransplantError:
            return False
        return True

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class RecordedLibrary:
    """Reads and writes as its library does, and notes which artifacts; see `Library`.

    Args:
        library: what it stands for.
        own: artifacts of this recipe that a step may replace, as long as they are as it made them.
        told: is told of each artifact that was made.
    """

    def __init__(
        self, library: Library, own: Sequence[Artifact], told: Callable[[Artifact], None]
    ) -> None:
        self._library, self._told = library, told
        self._own = {artifact.place: artifact for artifact in own}
        self._read: dict[tuple[Any, ...], Artifact] = {}
        self._written: dict[tuple[Any, ...], Artifact] = {}

    def __getattr__(self, name: str) -> Any:
        """Whatever neither reads nor writes an artifact."""
        return getattr(self._library, name)

    @property
    def was_read(self) -> list[Artifact]:
        """What was read and not made here, in order."""
        return [one for place, one in self._read.items() if place not in self._written]

    @property
    def was_written(self) -> list[Artifact]:
        """What was made and is there still, in order."""
        return [one for one in self._written.values() if one.stands(self._library)]

    def find(self, *args: Any, **options: Any) -> Entry:
        """See `Library.find`."""
        return self._reads(self._library.find(*args, **options))

    def get(self, *args: Any, **options: Any) -> Entry | None:
        """See `Library.get`."""
        entry = self._library.get(*args, **options)
        return None if entry is None else self._reads(entry)

    def held(self, *args: Any, **options: Any) -> Any:
        """The artifact of a name, or the broken folder that has its place."""
        found = self._library.held(*args, **options)  # pyright: ignore[reportAttributeAccessIssue]
        return self._reads(found) if hasattr(found, "manifest") else found

    def fetch(self, kind: str, name: str, backbone: str, d_abi: int | None = None) -> Any:
        """See `Library.fetch`."""
        return self._library.load(self.find(kind, name, backbone, d_abi))

    def load(self, entry: Any) -> Any:
        """See `Library.load`."""
        return self._library.load(self._reads(entry))

    def read(self, entry: Any) -> Any:
        """See `Library.read`."""
        return self._library.read(self._reads(entry))

    def backbone_path(self, name: str) -> Any:
        """See `Library.backbone_path`."""
        path = self._library.backbone_path(name)
        if path is not None:
            with suppress(TransplantError):
                self.get("backbone", name)
        return path

    def check_free(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None
    ) -> None:
        """See `Library.check_free`; what the recipe made before does not take a name."""
        if not self._is_own(kinds, name, backbone, d_abi):
            self._library.check_free(kinds, name, backbone, d_abi)

    def claim(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None,
        *, replace: bool = False, needed: int = 0,
    ) -> None:  # fmt: skip
        """See `Library.claim`; what the recipe made before may be replaced."""
        replace = replace or self._is_own(kinds, name, backbone, d_abi)
        self._library.claim(kinds, name, backbone, d_abi, replace=replace, needed=needed)

    def store(self, kind: str, name: str, *args: Any, **options: Any) -> Entry:
        """See `Library.store`."""
        options["replace"] = self._may_replace((kind,), name, options)
        return self._writes(self._library.store(kind, name, *args, **options))

    def store_hosted(self, name: str, *args: Any, **options: Any) -> Entry:
        """See `Library.store_hosted`."""
        options["replace"] = self._may_replace(("module", "interface"), name, options)
        entry = self._writes(self._library.store_hosted(name, *args, **options))
        backbone = options["backbone"].name
        self._writes(self._library.find("interface", name, backbone, options["d_abi"]))
        return entry

    def store_backbone(self, folder: Any, *, backbone: Any, **options: Any) -> Entry:
        """See `Library.store_backbone`."""
        self._clear(backbone.name)
        return self._writes(self._library.store_backbone(folder, backbone=backbone, **options))

    def fill_backbone(self, name: str, fill: Any, **options: Any) -> Entry:
        """See `Library.fill_backbone`."""
        self._clear(name)
        return self._writes(self._library.fill_backbone(name, fill, **options))

    def store_reference(self, folder: Any, *, backbone: Any, **options: Any) -> Entry:
        """See `Library.store_reference`."""
        self._clear(backbone.name)
        return self._writes(self._library.store_reference(folder, backbone=backbone, **options))

    def _reads(self, entry: Any) -> Any:
        artifact = Artifact.of(entry.manifest)
        self._read.setdefault(artifact.place, artifact)
        return entry

    def _writes(self, entry: Entry) -> Entry:
        artifact = Artifact.of(entry.manifest)
        self._written[artifact.place] = artifact
        self._own[artifact.place] = artifact
        self._told(artifact)
        return entry

    def _is_own(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None
    ) -> bool:
        """Whether all that has that name is of this recipe, and something has it."""
        found: list[Any] = []
        for kind in kinds:
            with suppress(TransplantError):
                entry = self._library.get(kind, name, backbone, d_abi if backbone else None)
                found += [] if entry is None else [Artifact.of(entry.manifest)]
        return bool(found) and all(self._own.get(one.place) == one for one in found)

    def _may_replace(self, kinds: Sequence[str], name: str, options: Mapping[str, Any]) -> bool:
        asked, backbone = bool(options.get("replace")), options["backbone"].name
        return asked or self._is_own(kinds, name, backbone, options.get("d_abi") or 0)

    def _clear(self, backbone: str) -> None:
        """Removes a backbone of this recipe: one that is stored is never replaced."""
        entry = self._library.get("backbone", backbone)
        if entry is not None and self._is_own(("backbone",), backbone, None, None):
            self._library.remove(entry)
