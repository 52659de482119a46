"""A store of artifacts as the library sees it: a registry is one, a test may bring another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Fingerprints(Protocol):
    """What makes a backbone that backbone: its weights, its tokenizer and its configuration."""

    @property
    def weights_sha256(self) -> str:
        """The fingerprint of its weights."""
        ...

    @property
    def tokenizer_sha256(self) -> str:
        """The fingerprint of its tokenizer."""
        ...

    @property
    def config_sha256(self) -> str | None:
        """The fingerprint of its configuration; None in records from before there was one."""
        ...


def difference(held: Fingerprints, found: Fingerprints) -> tuple[str, str, str] | None:
    """What makes two backbones different: the part, and its two fingerprints; None where nothing.

    A configuration that one of them does not record is not compared.
    """
    for part in ("weights", "tokenizer", "config"):
        ours, theirs = (getattr(side, f"{part}_sha256") for side in (held, found))
        if ours != theirs and None not in (ours, theirs):
            return {"config": "configuration"}.get(part, part), str(ours), str(theirs)
    return None


class StoredArtifact(Protocol):
    """One artifact as a library gives it out: verified tensors and what reading them takes."""

    @property
    def taps(self) -> Sequence[int]:
        """The layers that it reads."""
        ...

    @property
    def backbone(self) -> Fingerprints:
        """The backbone that it belongs to."""
        ...

    @property
    def module(self) -> str | None:
        """For an interface: the sha256 of the module that it was fitted with."""
        ...

    @property
    def made(self) -> Mapping[str, Any]:
        """How it was made."""
        ...

    @property
    def parents(self) -> Mapping[str, str]:
        """The sha256 of each artifact that it was made from, by role."""
        ...

    @property
    def sha256(self) -> str:
        """The identity of its tensors."""
        ...

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its tensors, verified."""
        ...


class BackboneIdentity(Fingerprints, Protocol):
    """What is stored of a backbone with everything that belongs to it; every view has it."""

    @property
    def name(self) -> str:
        """A registry name, a hub id or a folder."""
        ...

    @property
    def revision(self) -> str | None:
        """The hub commit; None for a folder or a registry name."""
        ...

    @property
    def family(self) -> str:
        """The architecture, as `config.model_type` names it."""
        ...

    @property
    def d_model(self) -> int:
        """Width of its hidden states."""
        ...


@dataclass(frozen=True, kw_only=True)
class KnownBackbone:
    """The identity of a backbone that is not in memory; see `BackboneIdentity`."""

    name: str
    revision: str | None = None
    family: str
    d_model: int
    weights_sha256: str
    tokenizer_sha256: str
    config_sha256: str | None


class BackboneRecord(Fingerprints, Protocol):
    """A backbone as a manifest names it."""

    @property
    def id(self) -> str:
        """A registry name, a hub id or a folder."""
        ...


class TensorRecord(Protocol):
    """A tensor as a manifest names it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""
        ...

    @property
    def dtype(self) -> str:
        """The word of safetensors for it, such as `F32`."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of its bytes."""
        ...


class Manifest(Protocol):
    """What is known about one artifact without reading its tensors."""

    @property
    def kind(self) -> str:
        """What it is: `module`, `interface`, `bridge`, ..."""
        ...

    @property
    def name(self) -> str:
        """Its own name, without the backbone's."""
        ...

    @property
    def domain(self) -> str | None:
        """The domain of the text it was trained on."""
        ...

    @property
    def backbone(self) -> BackboneRecord:
        """The backbone that it belongs to."""
        ...

    @property
    def d_abi(self) -> int | None:
        """Width of the shared space; None where there is none."""
        ...

    @property
    def taps(self) -> tuple[int, ...]:
        """The layers whose hidden states it reads."""
        ...

    @property
    def tensors(self) -> Mapping[str, TensorRecord]:
        """Every tensor."""
        ...

    @property
    def made(self) -> Mapping[str, Any]:
        """How it was made."""
        ...

    @property
    def results(self) -> Mapping[str, Any]:
        """What was measured."""
        ...

    @property
    def parents(self) -> Mapping[str, str]:
        """The sha256 of each artifact that it was made from, by role."""
        ...

    @property
    def sha256(self) -> str:
        """The identity of its tensors, whatever file holds them."""
        ...

    @property
    def hosted(self) -> str:
        """Its full name: `python@ref-gpt2/d128`, or the backbone's own."""
        ...

    def part(
        self, name: str, prefix: str, *, domain: str | None, d_abi: int | None,
        made: Mapping[str, Any], results: Mapping[str, Any],
    ) -> Manifest:  # fmt: skip
        """The manifest of a module inside this core, whose tensors begin with `prefix`."""
        ...


class Entry(Protocol):
    """One artifact that a library holds."""

    @property
    def path(self) -> Path:
        """Its folder."""
        ...

    @property
    def manifest(self) -> Manifest:
        """What its manifest says."""
        ...

    @property
    def hosted(self) -> str:
        """Its full name."""
        ...


class Library(Protocol):
    """A store of artifacts, looked up by name; `registry.store.Registry` is one."""

    @property
    def root(self) -> Path:
        """The folder that it writes to."""
        ...

    def split_name(self, name: str) -> tuple[str | None, str, int | None]:
        """(module, backbone, d_abi) of a hosted name."""
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

    def find(
        self, kind: str, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Entry:
        """The one artifact of that name; a backbone needs no `backbone`."""
        ...

    def entries(self, kind: str | None = None, backbone: str | None = None) -> Sequence[Entry]:
        """Every readable artifact."""
        ...

    def choices(
        self, kind: str, backbone: str | None = None, name: str | None = None
    ) -> Sequence[Entry]:
        """The same, of one kind; a damaged one is an error."""
        ...

    def holds_backbone(self, name: str) -> bool:
        """Whether a backbone of that name is here, damaged or not."""
        ...

    def read(self, entry: Any) -> dict[str, Tensor]:
        """The tensors of an entry of this library, verified."""
        ...

    def check_free(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None
    ) -> None:
        """Refuses a malformed name, and one that an artifact of these kinds already has."""
        ...

    def claim(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None,
        *, replace: bool = False, needed: int = 0,
    ) -> None:  # fmt: skip
        """Takes a name before the work: it is free, nobody else makes one, and there is room."""
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
        parents: Mapping[str, str] | None = None, license: str | None = None,
    ) -> Entry:  # fmt: skip
        """Writes a copy of a `save_pretrained` folder; an empty fingerprint is taken from it."""
        ...

    def remove(self, entry: Any) -> int:
        """Removes an entry of this library and returns the bytes freed."""
        ...

    def checkpoint_path(
        self, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Path:
        """Where a run that can be resumed keeps its state."""
        ...
