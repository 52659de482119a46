"""What names are looked up in, as loading sees it: a registry is one, a test may bring another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class Library(Protocol):
    """What names are looked up in; `registry.store.Registry` is one."""

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

    def fetch(self, kind: str, name: str, backbone: str, d_abi: int | None) -> StoredArtifact:
        """One artifact, verified."""
        ...
