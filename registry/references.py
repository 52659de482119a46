"""Backbones that stay where the user has them: the registry holds a name, hashes and a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import ExistsError, NotFoundError
from transplant.files import safetensors
from transplant.files.shards import weight_files
from transplant.files.whole_file import whole_file
from transplant.library import difference

from . import claims, staging
from .entry import MANIFEST, REFERENCE, Entry, place_of
from .manifest import BackboneRecord, Manifest
from .seal import sealed
from .writing import Writer

if TYPE_CHECKING:
    from transplant.library import BackboneIdentity


class References(Writer):
    """What writes the manifests of folders that are never copied, changed or removed."""

    def store_reference(
        self, folder: Path, *, backbone: BackboneIdentity, taps: Sequence[int],
        made: Mapping[str, Any], results: Mapping[str, Any] | None = None, replace: bool = False,
    ) -> Entry:  # fmt: skip
        """Describe a backbone that stays in its folder; no file of it is copied.

        Args:
            folder: an absolute path, as `made["added"]["path"]` has it.
            backbone: its identity, under its name in the registry.
            taps: its layers.
            made: how it came here; `added` says from where.
            results: what was measured.
            replace: whether a reference to the same weights may go, so that it leads here.

        Raises:
            ExistsError: the name is taken: by a copy, or by other weights.
            StorageError: the disk or the lock refused.
        """
        manifest = Manifest(
            kind="backbone", name=backbone.name, backbone=BackboneRecord.of(backbone),
            taps=tuple(taps), made=dict(made), results=dict(results or {}),
            tensors={
                name: record
                for file in weight_files(folder)
                for name, record in safetensors.hash_tensors(file).items()
            },
        )  # fmt: skip
        place = place_of(manifest)
        final = self.root / place
        with staging.storage_errors(self.root), self._writing(final):
            self._check_free("backbone", manifest.name, place, replace=replace)
            if replace:
                self._check_same_reference(manifest, place)
            final.mkdir(exist_ok=True)
            with whole_file(final / MANIFEST) as partial:
                partial.write_bytes(sealed(manifest.to_json()).encode())
            claims.release(self.root, place)
            return self._read_own(place)

    def _check_same_reference(self, manifest: Manifest, place: Path) -> None:
        """Refuse to put a reference in the place of anything but one to the same weights."""
        try:
            held = self._read_own(place).manifest
        except NotFoundError:
            return
        differing = difference(held.backbone, manifest.backbone)
        copied = held.made.get("added", {}).get("by") != REFERENCE
        if copied or differing:
            what = "a backbone of its own" if copied or not differing else f"another {differing[0]}"
            raise ExistsError(
                f"the name {manifest.name} stands for {what}",
                expected="a reference to the same weights, tokenizer and configuration",
                hint=f"`rm({manifest.name!r})` first, or another `name`",
            )
