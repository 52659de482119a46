"""The files of an artifact: its tensors, and the manifest that is written of what lies there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from transplant.files import safetensors

from .entry import MANIFEST
from .manifest import Manifest
from .seal import hash_files, sealed

if TYPE_CHECKING:
    from torch import Tensor


def bytes_of(weights: Mapping[str, Tensor]) -> int:
    """The bytes that tensors take on the disk, headers aside."""
    return sum(tensor.numel() * tensor.element_size() for tensor in weights.values())


def fill_folder(folder: Path, manifest: Manifest, weights: Mapping[str, Tensor]) -> str:
    """Write both files of an artifact; returns the identity of its tensors."""
    file = folder / "weights.safetensors"
    safetensors.save(file, weights)
    return write_manifest(manifest, [file], folder / MANIFEST)


def write_manifest(
    manifest: Manifest, weights: list[Path], file: Path, *, read: bool = False
) -> str:
    """Write the manifest of the files that lie in its folder; returns the identity of its tensors.

    Args:
        manifest: a backbone's fingerprint of weights may be left empty in it.
        weights: the safetensors files.
        file: the manifest's.
        read: whether its tensors were read from them.
    """
    tensors = manifest.tensors
    if not read:
        tensors = {k: v for one in weights for k, v in safetensors.hash_tensors(one).items()}
    complete = dataclasses.replace(manifest, tensors=tensors)
    if manifest.kind == "backbone" and not manifest.backbone.weights_sha256:
        record = dataclasses.replace(manifest.backbone, weights_sha256=complete.sha256)
        complete = dataclasses.replace(complete, backbone=record)
    others = hash_files(file.parent, {file.name, *(one.name for one in weights)})
    file.write_bytes(sealed(complete.to_json(), others).encode())
    return complete.sha256
