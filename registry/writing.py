"""The writing side of a registry: artifacts stored whole or not at all, and removed."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from transplant.errors import ExistsError, InputError, NotFoundError, TransplantError
from transplant.files import safetensors
from transplant.files import whole_folder as folders
from transplant.files.plain import check_inside, real
from transplant.files.remembered import HASH
from transplant.files.shards import weight_files

from . import catalog, claims, staging
from .bases import Base
from .entry import MANIFEST, Broken, Entry, is_place, place_of, read_entry
from .filling import bytes_of, fill_folder, write_manifest
from .manifest import Manifest
from .names import check_name
from .reading import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

# Beside the weights, of which others may be there, too; nothing that holds pickles.
_PLAIN_FILES = {".json", ".txt", ".model", ".jinja"}


class Writer(Reader):
    """What writes and removes artifacts, under the lock of their root."""

    def write(
        self, manifest: Manifest, weights: Mapping[str, Tensor], *, replace: bool = False
    ) -> Entry:
        """Store an artifact whole or not at all; its tensor records come from the bytes written.

        Raises:
            ExistsError: one of that name is there, and `replace` is not set.
            NumericalError: a tensor holds NaN or infinity.
            StorageError: the disk or the lock refused; what was there is intact.
            InputError: a backbone (see `write_backbone`), or a root that ships with the package.
        """
        if manifest.kind == "backbone":
            raise InputError("kind", expected="no backbone", found=manifest.name)
        safetensors.check_finite(weights)
        place = self._place_for(manifest)
        final = self.root / place
        needed = bytes_of(weights)
        with staging.storage_errors(self.root, needed), self._writing(final):
            self._check_free(manifest.kind, manifest.hosted, place, replace=replace)
            with folders.whole_folder(final) as folder:
                fill_folder(folder, manifest, weights)
            self._forget_claim(manifest)
            return self._read_own(place)

    def write_hosted(
        self,
        module: tuple[Manifest, Mapping[str, Tensor]],
        interface: tuple[Manifest, Mapping[str, Tensor]],
        *,
        replace: bool = False,
    ) -> Entry:
        """Store a module and its interface, both or neither; returns the module's entry.

        Both are filled and flushed; then the interface is put in place, which readers pass over
        until the module that its manifest names is there, and at last the module.

        Raises:
            ExistsError, NumericalError, StorageError, InputError: as `write`.
        """
        pair = (module, interface)
        for _, weights in pair:
            safetensors.check_finite(weights)
        place = self._place_for(module[0])
        beside_it = place.parent.with_name("interface") / place.name  # of the same backbone's
        last, first = self.root / place, self.root / beside_it
        needed = sum(bytes_of(weights) for _, weights in pair)
        with staging.storage_errors(self.root, needed), self._writing(last, first):
            for (manifest, _), at in zip(pair, (place, beside_it), strict=True):
                self._check_free(manifest.kind, manifest.hosted, at, replace=replace)
            try:
                with folders.whole_folder(last) as folder:
                    sha256 = fill_folder(folder, *module)
                    parents = {**interface[0].parents, "module_here": sha256}
                    named = dataclasses.replace(interface[0], parents=parents)
                    with folders.whole_folder(first, keep_old=True) as beside:
                        fill_folder(beside, named, interface[1])
            finally:
                if not os.path.lexists(last):  # the disk refused, or Ctrl-C
                    folders.clear(first)
                staging.settle_all(first.parent, self._old_stands)
            self._forget_claim(module[0], interface[0])
            return self._read_own(place)

    def write_backbone(self, manifest: Manifest, source: Path, *, move: bool = False) -> Entry:
        """Store a copy of a `save_pretrained` folder; the manifest comes last and makes it real.

        Its files are moved where `move` is set: a folder that was made for this, on the same disk.
        A stored backbone is frozen, with modules beside it: it is never replaced.

        Raises:
            ExistsError: one of that name is there.
            InputError: `source` holds no model.safetensors, or the manifest is no backbone's.
            StorageError: the disk or the lock refused.
        """
        if manifest.kind != "backbone" or not weight_files(source):
            raise InputError(
                f"{source}", expected="a backbone with a model.safetensors", found=manifest.kind
            )
        beside = (f for f in source.iterdir() if f.is_file() and f.suffix in _PLAIN_FILES)
        files = [*weight_files(source), *(f for f in beside if f.name != MANIFEST)]

        def copy(folder: Path) -> Manifest:
            for file in files:
                if move:
                    staging.move(file, folder / file.name)
                else:
                    shutil.copyfile(file, folder / file.name)
            return manifest

        return self._put_backbone(manifest.name, copy, sum(f.stat().st_size for f in files))

    def _put_backbone(
        self, name: str, fill: Callable[[Path], Manifest], needed: int, *, read: bool = False
    ) -> Entry:
        """Store what `fill` writes into the folder that it is given.

        Args:
            name: the backbone's.
            fill: writes the files, and says what they are.
            needed: the bytes that it will write.
            read: whether its manifest holds the tensors as they were read back from that folder.
        """
        place = Path(check_name(name))
        final = self.root / place
        with staging.storage_errors(self.root, needed), self._writing(final):
            self._check_free("backbone", name, place, replace=False)
            with staging.merged(final, last=MANIFEST) as folder:
                manifest = fill(folder)
                write_manifest(manifest, weight_files(folder), folder / MANIFEST, read=read)
            return self._read_own(place)

    def remove(self, entry: Entry | Broken) -> int:
        """Remove an artifact, and the folders that this empties; return the bytes freed.

        A backbone's modules stay: they are artifacts of their own.

        Raises:
            InputError: it ships with the package, or is not in this registry.
            StorageError: the disk or the lock refused.
        """
        root, path = real(self.root), folders.final_of(entry.path)
        broken = isinstance(entry, Broken)  # a link is removed, not what it leads to
        path = real(path.parent) / path.name if broken else real(path)
        place = path.relative_to(root) if path.is_relative_to(root) else Path()
        is_backbone = entry.kind == "backbone"
        inside = len(place.parts) == 1 if is_backbone else is_place(place)
        if not inside:
            found = "one that ships with abi" if entry.shipped else str(path)
            raise InputError(
                f"cannot remove {entry.hosted}", expected=f"an artifact in {root}", found=found
            )
        final = self.root / place
        keep = r"d\d+" if is_backbone and not final.is_symlink() else None
        with staging.storage_errors(root), self._writing(final):
            return staging.discard(final, first=MANIFEST, keep=keep)

    def _read_own(self, place: Path) -> Entry:
        return read_entry(self.root, place, self.reads, shipped=False)

    @contextmanager
    def _writing(self, *finals: Path) -> Iterator[None]:
        """Hold the lock; clear what crashed writers left beside `finals`, then emptied folders."""
        self._check_writable()
        for final in finals:
            check_inside(self.root, final.parent)
        with staging.locked(self.root, self.lock_timeout_s):
            try:
                for final in finals:
                    staging.settle_all(final.parent, self._old_stands)
                yield
                for final in finals:
                    claims.release(self.root, final.relative_to(self.root))
            finally:
                for final in finals:
                    staging.prune(final, self.root)

    def _old_stands(self, final: Path) -> bool:
        """Whether a crash left a new interface before its module, so that the old one is read."""
        place = final.relative_to(self.root)
        if not is_place(place):
            return False
        try:
            return self._read_own(place).path != final
        except TransplantError:
            return False

    def _check_writable(self) -> None:
        if real(self.root).is_relative_to(real(self.reference)):
            raise InputError(
                "the registry root",
                expected="a folder of your own",
                found=f"{self.root}, which ships with abi",
                hint="`registry`, another folder",
            )

    def _place_for(self, manifest: Manifest) -> Path:
        """Where an artifact goes: to its own folder, or to where its weights' own has that name.

        Where its folder has one of that name that was made for other weights, it goes beside it.
        """
        place, same = place_of(manifest), manifest.backbone
        if not HASH.fullmatch(same.weights_sha256):
            return place
        with suppress(TransplantError):
            here = self._read_own(place)
            if not catalog.belongs_elsewhere(here, same):
                return place
            place = Path(f"{place.parts[0]}-{same.weights_sha256[:8]}", *place.parts[1:])
        for entry in catalog.elsewhere(
            [Base(self.root, False, self.reads)],
            same.id,
            same,
            manifest.kind,
            manifest.name,
            manifest.d_abi or 0,
        ):
            if self._is_of(entry, same.id):
                return folders.final_of(entry.path).relative_to(self.root)
        return place

    def _forget_claim(self, *manifests: Manifest) -> None:
        """Give back the names of what is stored, wherever it went."""
        for manifest in manifests:
            claims.release(self.root, place_of(manifest))
        gone = {(it.name, it.backbone.id) for it in manifests}
        self.claimed[:] = [each for each in self.claimed if each[1:3] not in gone]

    def _check_free(self, kind: str, hosted: str, place: Path, *, replace: bool) -> None:
        """Refuse a place that is taken, under the lock: `check_free` has asked before the work."""
        file = place / MANIFEST
        what = f"{kind} {hosted}"
        if (self.reference / file).exists():
            raise ExistsError(f"{what} ships with abi", hint="another name")
        if (self.root / file).exists() and not replace and not self._is_unfinished(place):
            hint = f"`rm({hosted!r})`, or another name"
            raise ExistsError(f"{what} is already in {self.root}", hint=hint)

    def _is_unfinished(self, place: Path) -> bool:
        """Whether a killed run left an interface there without its module."""
        try:
            self._read_own(place)
        except NotFoundError:
            return True
        except TransplantError:
            return False
        return False
