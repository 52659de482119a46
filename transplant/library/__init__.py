"""Protocols of a store of artifacts: names, records, and the store's own calls."""

from transplant.library.identity import (
    BackboneIdentity,
    Fingerprints,
    KnownBackbone,
    difference,
)
from transplant.library.names import HostedName
from transplant.library.records import (
    BackboneDescription,
    BackboneRecord,
    Entry,
    Manifest,
    StoredArtifact,
    TensorRecord,
)
from transplant.library.store import Library

__all__ = [
    "BackboneDescription",
    "BackboneIdentity",
    "BackboneRecord",
    "Entry",
    "Fingerprints",
    "HostedName",
    "KnownBackbone",
    "Library",
    "Manifest",
    "StoredArtifact",
    "TensorRecord",
    "difference",
]
