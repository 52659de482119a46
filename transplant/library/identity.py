"""The identity of a backbone: what is stored of it with all that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


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
