"""Artifacts as a library describes them and gives them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from transplant.library.identity import BackboneIdentity, Fingerprints

if TYPE_CHECKING:
    from torch import Tensor


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
    def tensors(self) -> Mapping[str, Tensor]:
        """Its tensors, verified."""
        ...


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


@dataclass(frozen=True, kw_only=True)
class BackboneDescription:
    """What is stored of a backbone beside its files."""

    backbone: BackboneIdentity
    """Its identity; an empty fingerprint of weights is taken from its tensors."""
    taps: Sequence[int]
    """Its layers."""
    made: Mapping[str, Any]
    """How it was made."""
    results: Mapping[str, Any] | None = None
    """What was measured."""
    parents: Mapping[str, str] | None = None
    """The sha256 of what it was made from, by role."""
    license: str | None = None
    """What it may be passed on under."""
    tensors: Mapping[str, TensorRecord] | None = None
    """Every tensor as it was read back from its file; None where that was not done."""


class Manifest(Protocol):
    """What is known about one artifact without reading its tensors."""

    @property
    def license(self) -> str | None:
        """The licence it may be passed on under, where one is known."""
        ...

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
