"""Where domain modules, interfaces and backbones are kept: manifests beside safetensors.

Importing this package, and listing what a registry holds, loads neither torch nor numpy.
"""

from transplant.files.safetensors import hash_tensors, verify

from .entry import Entry
from .manifest import KINDS, SCHEMA_VERSION, BackboneRecord, Manifest, TensorRecord
from .names import HostedName, backbone_key, check_name, parse_hosted
from .store import REFERENCE, Registry

__all__ = [
    "KINDS",
    "REFERENCE",
    "SCHEMA_VERSION",
    "BackboneRecord",
    "Entry",
    "HostedName",
    "Manifest",
    "Registry",
    "TensorRecord",
    "backbone_key",
    "check_name",
    "hash_tensors",
    "parse_hosted",
    "verify",
]
