"""The registry: artifacts keyed by backbone, d_abi, kind and name.

<root>/<backbone>/manifest.json, model.safetensors, ...              a backbone
<root>/<backbone>/d<d_abi>/<kind>/<name>/manifest.json, weights.safetensors
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.files import safetensors
from transplant.library import BackboneDescription

from .backbones import REFERENCE
from .claiming import Claiming
from .entry import Entry
from .manifest import BackboneRecord, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from transplant.library import BackboneIdentity

__all__ = ["REFERENCE", "Registry"]


class Registry(Claiming):
    """The artifacts under one root, and under it those that ship with the package."""

    def store_hosted(
        self, name: str, module: Mapping[str, Tensor], interface: Mapping[str, Tensor], *,
        backbone: BackboneIdentity, domain: str | None, d_abi: int, taps: Sequence[int],
        made: Mapping[str, Any], results: Mapping[str, Any], parents: Mapping[str, str],
        replace: bool = False,
    ) -> Entry:  # fmt: skip
        """Describe and write a module with its interface; returns the module's entry.

        Args:
            name: of both.
            module: its tensors.
            interface: its tensors.
            backbone: what they belong to.
            domain: of the text that the module was trained on.
            d_abi: the width of the shared space.
            taps: the layers that the interface reads.
            made: how they were made.
            results: what was measured.
            parents: the sha256 of what they were made from, by role.
            replace: whether those of that name may go.

        Raises:
            ExistsError, NumericalError, StorageError, InputError: as `write`.
        """
        plain = Manifest(
            kind="module", name=name, domain=domain, backbone=BackboneRecord.of(backbone),
            d_abi=d_abi, made=dict(made), results=dict(results), parents=dict(parents),
        )  # fmt: skip
        reading = dataclasses.replace(plain, kind="interface", taps=tuple(taps))
        return self.write_hosted((plain, module), (reading, interface), replace=replace)

    def store(
        self, kind: str, name: str, tensors: Mapping[str, Tensor], *, backbone: BackboneIdentity,
        domain: str | None = None, d_abi: int | None = None, taps: Sequence[int] = (),
        made: Mapping[str, Any], results: Mapping[str, Any] | None = None,
        parents: Mapping[str, str] | None = None, replace: bool = False,
    ) -> Entry:  # fmt: skip
        """Describe and write an artifact of a backbone.

        Args:
            kind: one of `KINDS`, but no backbone.
            name: its own name.
            tensors: what is stored.
            backbone: what it belongs to.
            domain: of the text that it was trained on.
            d_abi: the width of the shared space; None where there is none.
            taps: the layers that it reads.
            made: how it was made.
            results: what was measured.
            parents: the sha256 of what it was made from, by role.
            replace: whether one of that name may go.

        Raises:
            ExistsError, NumericalError, StorageError, InputError: as `write`.
        """
        manifest = Manifest(
            kind=kind, name=name, domain=domain, backbone=BackboneRecord.of(backbone),
            d_abi=d_abi, taps=tuple(taps), made=dict(made), results=dict(results or {}),
            parents=dict(parents or {}),
        )  # fmt: skip
        return self.write(manifest, tensors, replace=replace)

    def store_backbone(
        self, folder: Path, *, backbone: BackboneIdentity, taps: Sequence[int],
        made: Mapping[str, Any], results: Mapping[str, Any] | None = None,
        parents: Mapping[str, str] | None = None, license: str | None = None, move: bool = False,
    ) -> Entry:  # fmt: skip
        """Describe and write a backbone of a `save_pretrained` folder.

        Args:
            folder: what is copied.
            backbone: its identity; an empty fingerprint of weights is taken from the file.
            taps: its layers.
            made: how it was made.
            results: what was measured.
            parents: the sha256 of what it was made from, by role.
            license: what it may be passed on under.
            move: whether the files may be moved out of `folder`, which is on the same disk.

        Raises:
            ExistsError, StorageError, InputError: as `write_backbone`.
        """
        described = BackboneDescription(
            backbone=backbone, taps=taps, made=made, results=results, parents=parents,
            license=license,
        )  # fmt: skip
        return self.write_backbone(_manifest_of(described), folder, move=move)

    def fill_backbone(
        self, name: str, fill: Callable[[Path], BackboneDescription], *, needed: int = 0
    ) -> Entry:
        """Have a backbone written into its place: each of its bytes is written once.

        Args:
            name: the backbone's.
            fill: writes model.safetensors and the other files into the empty folder that it is
                given, and describes them with all tensors as it read them back. An exception of
                it leaves nothing behind. It runs under the registry's lock.
            needed: the bytes that it will write, for the message of a full disk.

        Raises:
            ExistsError, StorageError, InputError: as `write_backbone`; what `fill` raises.
        """
        return self._put_backbone(
            name, lambda folder: _manifest_of(fill(folder)), needed, read=True
        )


def _manifest_of(described: BackboneDescription) -> Manifest:
    tensors = {
        name: safetensors.TensorRecord(shape=it.shape, dtype=it.dtype, sha256=it.sha256)
        for name, it in (described.tensors or {}).items()
    }
    return Manifest(
        kind="backbone", name=described.backbone.name, tensors=tensors,
        backbone=BackboneRecord.of(described.backbone), taps=tuple(described.taps),
        made=dict(described.made), results=dict(described.results or {}),
        parents=dict(described.parents or {}), license=described.license,
    )  # fmt: skip
