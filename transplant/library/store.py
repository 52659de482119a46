"""A store of artifacts as the library sees it: a registry is one, a test may bring another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from transplant.errors import TransplantError
from transplant.library.identity import BackboneIdentity, Fingerprints
from transplant.library.names import HostedName
from transplant.library.records import BackboneDescription, Entry, StoredArtifact

if TYPE_CHECKING:
    from torch import Tensor


class Library(Protocol):
    """A store of artifacts, looked up by name; `registry.store.Registry` is one."""

    @property
    def root(self) -> Path:
        """The folder that it writes to."""
        ...

    def split_name(self, name: str) -> HostedName:
        """The parts of a hosted name."""
        ...

    def backbone_path(self, name: str) -> Path | None:
        """The folder of a backbone it holds."""
        ...

    @property
    def checked_file(self) -> Path | None:
        """A file that keeps the fingerprints of folders that were checked; None for none."""
        ...

    def backbone_record(self, name: str) -> Fingerprints | None:
        """What a backbone it holds must be."""
        ...

    def meet(self, backbone: BackboneIdentity) -> None:
        """Notes what a name stands for: artifacts are found by the weights they were made for."""
        ...

    def fingerprints(self, backbone: str) -> Fingerprints | None:
        """What a name stands for, as far as that is known without loading it."""
        ...

    def called(self, backbone: Fingerprints) -> Sequence[str]:
        """The names of the backbones it holds that have these fingerprints."""
        ...

    def fetch(self, kind: str, name: str, backbone: str, d_abi: int | None) -> StoredArtifact:
        """One artifact, verified."""
        ...

    def load(self, entry: Any, *, on_disk: bool = False) -> StoredArtifact:
        """An entry of this library, verified: whole, or each tensor as it is asked for."""
        ...

    def find(
        self, kind: str, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Entry:
        """The one artifact of that name; a backbone needs no `backbone`."""
        ...

    def get(
        self, kind: str, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Entry | None:
        """The same; None where there is none, and then nothing else is read."""
        ...

    def entries(self, kind: str | None = None, backbone: str | None = None) -> Sequence[Entry]:
        """Every readable artifact."""
        ...

    def problems(self, backbone: str | None = None) -> Sequence[TransplantError]:
        """One error for each folder that `entries` could not read."""
        ...

    def choices(
        self, kind: str, backbone: str | None = None, name: str | None = None,
        d_abi: int | None = None,
    ) -> Sequence[Entry]:  # fmt: skip
        """The same, of one kind; a damaged one is an error."""
        ...

    def holds_backbone(self, name: str) -> bool:
        """Whether a backbone of that name is here, damaged or not."""
        ...

    def read(self, entry: Any) -> dict[str, Tensor]:
        """The tensors of an entry of this library, verified."""
        ...

    def verify(self, entry: Any) -> None:
        """Compares every tensor of an entry of this library with its hash, without torch."""
        ...

    def check_name(self, name: str) -> None:
        """Refuses what cannot be the name of an artifact, whatever is stored."""
        ...

    def check_free(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None
    ) -> None:
        """Refuses a malformed name, and one that an artifact of these kinds already has.

        No `d_abi` stands for any, 0 for none.
        """
        ...

    def claim(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None,
        *, replace: bool = False, needed: int = 0,
    ) -> None:  # fmt: skip
        """Takes a name before the work: it is free, nobody else makes one, and there is room."""
        ...

    def attempt(self) -> AbstractContextManager[None]:
        """A block whose names are given back where it fails, for a process that goes on."""
        ...

    def store(
        self, kind: str, name: str, tensors: Mapping[str, Tensor], *, backbone: BackboneIdentity,
        domain: str | None = None, d_abi: int | None = None, taps: Sequence[int] = (),
        made: Mapping[str, Any], results: Mapping[str, Any] | None = None,
        parents: Mapping[str, str] | None = None, replace: bool = False,
    ) -> Entry:  # fmt: skip
        """Writes an artifact, whole or not at all."""
        ...

    def store_hosted(
        self, name: str, module: Mapping[str, Tensor], interface: Mapping[str, Tensor], *,
        backbone: BackboneIdentity, domain: str | None, d_abi: int, taps: Sequence[int],
        made: Mapping[str, Any], results: Mapping[str, Any], parents: Mapping[str, str],
        replace: bool = False,
    ) -> Entry:  # fmt: skip
        """Writes a module and its interface, which names it, both or neither."""
        ...

    def store_backbone(
        self, folder: Path, *, backbone: BackboneIdentity, taps: Sequence[int],
        made: Mapping[str, Any], results: Mapping[str, Any] | None = None,
        parents: Mapping[str, str] | None = None, license: str | None = None, move: bool = False,
    ) -> Entry:  # fmt: skip
        """Writes a copy of a `save_pretrained` folder; an empty fingerprint is taken from it."""
        ...

    def fill_backbone(
        self, name: str, fill: Callable[[Path], BackboneDescription], *, needed: int = 0
    ) -> Entry:
        """Has `fill` write a backbone into a folder of this library, whole or not at all."""
        ...

    def store_reference(
        self, folder: Path, *, backbone: BackboneIdentity, taps: Sequence[int],
        made: Mapping[str, Any], results: Mapping[str, Any] | None = None, replace: bool = False,
    ) -> Entry:  # fmt: skip
        """Writes what is known of a folder that stays where it is, under a name."""
        ...

    def remove(self, entry: Any) -> int:
        """Removes an entry of this library and returns the bytes freed."""
        ...

    def checkpoint_path(
        self, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Path:
        """Where a run that can be resumed keeps its state."""
        ...
