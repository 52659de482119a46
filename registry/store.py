"""The registry: artifacts keyed by backbone, d_abi, kind and name.

<root>/<backbone>/manifest.json, model.safetensors, ...              a backbone
<root>/<backbone>/d<d_abi>/<kind>/<name>/manifest.json, weights.safetensors
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from registry import catalog, claims, staging
from registry.entry import MANIFEST, Broken, Entry, is_place, place_of, read_entry, unchanged
from registry.manifest import KINDS, BackboneRecord, Manifest
from registry.names import backbone_key, check_name, parse_hosted
from registry.seal import check_files, hash_files, sealed
from transplant.errors import (
    ArtifactError,
    ExistsError,
    InputError,
    NotFoundError,
    StorageError,
    TransplantError,
)
from transplant.files import safetensors
from transplant.files.plain import check_inside, check_plain, check_root, expand, real
from transplant.files.room import check_room

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from transplant.library import BackboneIdentity

REFERENCE = Path(__file__).parent / "reference"
_PLAIN_FILES = {".json", ".safetensors", ".txt", ".model", ".jinja"}  # nothing that holds pickles


@dataclass(frozen=True)
class Fetched:
    """What hosting a stored module takes."""

    taps: tuple[int, ...]
    backbone: BackboneRecord
    module: str | None
    sha256: str
    tensors: dict[str, Tensor]
    made: dict[str, Any]
    parents: dict[str, str]


@dataclass(frozen=True)
class Registry:
    """The artifacts under one root, and under it those that ship with the package."""

    root: Path
    """Where artifacts are written; created by the first write."""
    reference: Path = REFERENCE
    """What ships with the package: readable, never written."""
    lock_timeout_s: float = 60.0
    """How long a writer waits for another one, in seconds."""

    @classmethod
    def open(cls, root: Path | None = None) -> Registry:
        """The registry at `root`, else at `$ABI_REGISTRY`, else in the user's data folder.

        Raises:
            StorageError: a path that leads nowhere, as `~nobody`.
        """
        chosen = root or os.environ.get("ABI_REGISTRY") or platformdirs.user_data_dir("abi")
        try:
            return cls(expand(chosen).absolute())
        except (InputError, OSError) as error:  # no such user; the working directory is gone
            raise StorageError(
                f"the registry {chosen}",
                expected="a folder",
                found=str(error),
                hint="`registry`, an absolute path",
            ) from error

    def entries(self, kind: str | None = None, backbone: str | None = None) -> list[Entry]:
        """Every readable artifact, sorted by backbone, kind, name and d_abi.

        Raises:
            InputError: an unknown kind, or a backbone that cannot be one.
        """
        if kind is not None:
            catalog.check_kind(kind)
        items = catalog.scan(self._bases(), backbone)
        found = [item for item in items if isinstance(item, Entry)]
        return sorted((e for e in found if kind in (None, e.manifest.kind)), key=_order)

    def problems(self, backbone: str | None = None) -> list[ArtifactError | StorageError]:
        """What `entries` left out: one error for each folder that it could not read."""
        items = catalog.scan(self._bases(), backbone)
        return [item for item in items if not isinstance(item, Entry)]

    def choices(
        self, kind: str, backbone: str | None = None, name: str | None = None
    ) -> list[Entry]:
        """What a search by other facts than the whole name chooses from, in the order of `entries`.

        A damaged one is not passed over: the search would take another, or make one anew.

        Raises:
            CorruptError, VersionError: the manifest of one of them cannot be used.
        """
        catalog.check_kind(kind)
        return sorted(catalog.choices(self._bases(), kind, backbone, name), key=_order)

    def find(
        self, kind: str, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Entry:
        """The one artifact of that name; a backbone needs no `backbone`.

        Raises:
            NotFoundError: there is none; the message lists the closest names.
            InputError: there are several: add `/d<d_abi>`.
            CorruptError: it is there, with a broken manifest.
        """
        return catalog.find(self._bases(), kind, name, backbone, d_abi)

    def held(
        self, kind: str, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Entry | Broken:
        """The one artifact of that name, even a broken one, as `remove` takes it.

        Raises:
            NotFoundError, InputError: as `find`.
        """
        return catalog.held(self._bases(), kind, name, backbone, d_abi)

    def holds_backbone(self, name: str) -> bool:
        """Whether a backbone of that name is here, damaged or not."""
        return self._backbone_folder(name) is not None

    def backbone_path(self, name: str) -> Path | None:
        """The folder of a backbone that the registry holds, for `from_pretrained`.

        Raises:
            CorruptError: its configuration or tokenizer is not as it was written, a file of it is a
                link, a pipe or a device, or the folder is a link.
        """
        found = self._backbone_folder(name)
        if found is None:
            return None
        folder, (base, shipped) = found
        check_inside(base, folder)
        check_plain(folder, follow=shipped)
        check_files(folder / MANIFEST, follow=shipped)
        return folder

    def split_name(self, name: str) -> tuple[str | None, str, int | None]:
        """(module, backbone, d_abi) of a hosted name, for `transplant.load`."""
        parsed = parse_hosted(name)
        return parsed.module, parsed.backbone, parsed.d_abi

    @property
    def checked_file(self) -> Path | None:
        """Where loads keep what they have checked; None before the first artifact is written."""
        return self.root / ".checked.json" if self.root.is_dir() else None

    def backbone_record(self, name: str) -> BackboneRecord | None:
        """The fingerprints of a backbone that its manifest promises."""
        if not self.holds_backbone(name):
            return None
        return self.find("backbone", name).manifest.backbone

    def fetch(self, kind: str, name: str, backbone: str, d_abi: int | None = None) -> Fetched:
        """One artifact with its verified tensors, for `transplant.load`.

        Raises:
            NotFoundError, InputError, CorruptError: as `find` and `read`.
        """
        entry = self.find(kind, name, backbone, d_abi)
        manifest = entry.manifest
        return Fetched(
            manifest.taps,
            manifest.backbone,
            manifest.parents.get("module_here"),
            manifest.sha256,
            self.read(entry),
            manifest.made,
            manifest.parents,
        )

    def verify(self, entry: Entry) -> None:
        """Compare every tensor on the disk with the manifest, without torch.

        Raises:
            CorruptError: naming the file and the tensor.
            NotFoundError: it was replaced or removed since it was found.
        """
        with unchanged(entry):
            _verify(entry)

    def read(self, entry: Entry) -> dict[str, Tensor]:
        """The tensors of an artifact, on the CPU, after every sha256 was verified.

        Raises:
            CorruptError: naming the file and the tensor.
            NotFoundError: it was replaced or removed since it was found.
        """
        with unchanged(entry):  # what is loaded is what was verified
            _verify(entry)
            return safetensors.load(entry.weights)

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
        place = place_of(manifest)
        final = self.root / place
        needed = _bytes_of(weights)
        with staging.storage_errors(self.root, needed), self._writing(final):
            self._check_free(manifest, replace)
            with staging.staged(final) as folder:
                _fill(folder, manifest, weights)
            return read_entry(self.root, place, shipped=False)

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
        last, first = (self.root / place_of(manifest) for manifest, _ in pair)
        needed = sum(_bytes_of(weights) for _, weights in pair)
        with staging.storage_errors(self.root, needed), self._writing(last, first):
            for manifest, _ in pair:
                self._check_free(manifest, replace)
            try:
                with staging.staged(last) as folder:
                    sha256 = _fill(folder, *module)
                    parents = {**interface[0].parents, "module_here": sha256}
                    named = dataclasses.replace(interface[0], parents=parents)
                    with staging.staged(first, keep_old=True) as beside:
                        _fill(beside, named, interface[1])
            finally:
                if not os.path.lexists(last):  # the disk refused, or Ctrl-C
                    staging.clear(first)
                staging.settle_all(first.parent, self._old_stands)
            return read_entry(self.root, place_of(module[0]), shipped=False)

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
        parents: Mapping[str, str] | None = None, license: str | None = None,
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

        Raises:
            ExistsError, StorageError, InputError: as `write_backbone`.
        """
        record = BackboneRecord.of(backbone)
        manifest = Manifest(
            kind="backbone", name=backbone.name, backbone=record, taps=tuple(taps),
            made=dict(made), results=dict(results or {}), parents=dict(parents or {}),
            license=license,
        )  # fmt: skip
        if not record.weights_sha256:
            hashed = safetensors.hash_tensors(folder / "model.safetensors")
            whole = dataclasses.replace(manifest, tensors=hashed)
            record = dataclasses.replace(record, weights_sha256=whole.sha256)
            manifest = dataclasses.replace(whole, backbone=record)
        return self.write_backbone(manifest, folder)

    def check_free(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None
    ) -> None:
        """Refuse, before the work, a name that cannot be stored.

        Args:
            kinds: what is to be stored; of a backbone the other arguments are None.
            name: its own name.
            backbone: what it belongs to.
            d_abi: the width of the shared space.

        Raises:
            InputError: it cannot be a name.
            ExistsError: an artifact of one of these kinds has it.
        """
        check_name(name)
        for kind in kinds:
            if kind == "backbone":
                taken = [name] if self.holds_backbone(name) else []
            else:
                taken = [
                    entry.hosted
                    for entry in self.choices(kind, backbone, name)
                    if entry.manifest.d_abi == d_abi
                ]
            if taken:
                raise ExistsError(
                    f"{kind} {taken[0]} is already in the registry",
                    hint=f"`rm({taken[0]!r})`, `replace` where there is one, or another name",
                )

    def claim(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None,
        *, replace: bool = False, needed: int = 0,
    ) -> None:  # fmt: skip
        """Take a name before the work, until the artifacts of these kinds are written.

        Args:
            kinds: what will be stored.
            name: its own name.
            backbone: what it belongs to.
            d_abi: the width of the shared space.
            replace: whether what has that name may go.
            needed: the bytes that will be written, as far as they are known.

        Raises:
            InputError: it cannot be a name, or the root ships with the package.
            ExistsError: it is taken, it ships with the package, or another run makes one.
            StorageError: the disk is too full, or the root cannot be written.
        """
        self._check_writable()
        check_name(name)
        places = [
            Path(name) if backbone is None
            else Path(backbone_key(backbone), f"d{d_abi or 0}", kind, name)
            for kind in kinds
        ]  # fmt: skip
        self._clear_leftovers(places)
        self._drop_spent()
        if not replace:
            self.check_free(kinds, name, backbone, d_abi)
        for place in places:
            if (self.reference / place / MANIFEST).exists():
                raise ExistsError(f"{name} ships with abi", hint="another `name`")
        check_room(self.root, needed, "`rm('NAME')`, or a `registry` on another disk")
        what = name if backbone is None else f"{name}@{backbone}"
        taken = claims.claim(self.root, places, what)
        try:  # once more: another run may have ended in between
            if taken and not replace:
                self.check_free(kinds, name, backbone, d_abi)
        except BaseException:
            for place in taken:
                claims.release(self.root, place)
            raise

    def release(self) -> None:
        """Give back every name that was taken and not written."""
        claims.release_all(self.root)

    def checkpoint_path(
        self, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Path:
        """Where a run that can be resumed keeps its state."""
        own = f"{name}.core" if backbone is None else f"{name}@{backbone_key(backbone)}-d{d_abi}"
        return self.root / ".runs" / f"{own}.safetensors"

    def write_backbone(self, manifest: Manifest, source: Path) -> Entry:
        """Store a copy of a `save_pretrained` folder; the manifest comes last and makes it real.

        A stored backbone is frozen, with modules beside it: it is never replaced.

        Raises:
            ExistsError: one of that name is there.
            InputError: `source` holds no model.safetensors, or the manifest is no backbone's.
            StorageError: the disk or the lock refused.
        """
        if manifest.kind != "backbone" or not (source / "model.safetensors").is_file():
            raise InputError(
                f"{source}", expected="a backbone with a model.safetensors", found=manifest.kind
            )
        files = [f for f in source.iterdir() if f.is_file() and f.suffix in _PLAIN_FILES]
        files = [f for f in files if f.name != MANIFEST]
        place = place_of(manifest)
        final = self.root / place
        needed = sum(f.stat().st_size for f in files)
        with staging.storage_errors(self.root, needed), self._writing(final):
            self._check_free(manifest, replace=False)
            with staging.merged(final, last=MANIFEST) as folder:
                for file in files:
                    shutil.copyfile(file, folder / file.name)
                _write_manifest(manifest, folder / "model.safetensors", folder / MANIFEST)
            return read_entry(self.root, place, shipped=False)

    def remove(self, entry: Entry | Broken) -> int:
        """Remove an artifact, and the folders that this empties; return the bytes freed.

        A backbone's modules stay: they are artifacts of their own.

        Raises:
            InputError: it ships with the package, or is not in this registry.
            StorageError: the disk or the lock refused.
        """
        root, path = real(self.root), staging.final_of(entry.path)
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

    def _backbone_folder(self, name: str) -> tuple[Path, catalog.Base] | None:
        folders = [(base[0] / backbone_key(name), base) for base in self._bases()]
        return next((it for it in folders if os.path.lexists(it[0] / MANIFEST)), None)

    def _bases(self) -> list[catalog.Base]:
        check_root(self.root)
        own = [] if self.root == self.reference else [(self.root, False)]
        return [*own, (self.reference, True)]

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
            return read_entry(self.root, place, shipped=False).path != final
        except TransplantError:
            return False

    def _clear_leftovers(self, places: Sequence[Path]) -> None:
        """Clear what killed writers left beside places, unless a writer is at work."""
        parents = {self.root / place.parent for place in places}
        parents = {parent for parent in parents if staging.has_leftovers(parent)}
        if not parents:
            return
        quiet = suppress(StorageError, OSError)
        with quiet, staging.locked(self.root, 0):
            for parent in parents:
                check_inside(self.root, parent)
                staging.settle_all(parent, self._old_stands)

    def _drop_spent(self) -> None:
        """Remove checkpoints of runs that were killed after they had stored what they made."""
        for checkpoint in (self.root / ".runs").glob("*.safetensors"):
            name, at, host = checkpoint.stem.partition("@")
            key, _, d_abi = host.rpartition("-d")
            place = (
                Path(key, f"d{d_abi}", "module", name) if at else Path(name.removesuffix(".core"))
            )
            with suppress(TransplantError, OSError):
                entry = read_entry(self.root, place, shipped=False)
                stored = (entry.path / MANIFEST).stat().st_mtime_ns
                trained = not entry.manifest.parents  # a moved one says nothing of a training
                if trained and checkpoint.stat().st_mtime_ns <= stored:
                    checkpoint.unlink()

    def _check_writable(self) -> None:
        if real(self.root).is_relative_to(real(self.reference)):
            raise InputError(
                "the registry root",
                expected="a folder of your own",
                found=f"{self.root}, which ships with abi",
                hint="`registry`, another folder",
            )

    def _check_free(self, manifest: Manifest, replace: bool) -> None:
        file = place_of(manifest) / MANIFEST
        what = f"{manifest.kind} {manifest.hosted}"
        if (self.reference / file).exists():
            raise ExistsError(f"{what} ships with abi", hint="another name")
        if (self.root / file).exists() and not replace and not self._is_unfinished(manifest):
            hint = f"`rm({manifest.hosted!r})`, or another name"
            raise ExistsError(f"{what} is already in {self.root}", hint=hint)

    def _is_unfinished(self, manifest: Manifest) -> bool:
        """Whether a killed run left an interface there without its module."""
        try:
            read_entry(self.root, place_of(manifest), shipped=False)
        except NotFoundError:
            return True
        except TransplantError:
            return False
        return False


def _bytes_of(weights: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in weights.values())


def _fill(folder: Path, manifest: Manifest, weights: Mapping[str, Tensor]) -> str:
    """Write both files of an artifact; returns the identity of its tensors."""
    file = folder / "weights.safetensors"
    safetensors.save(file, weights)
    return _write_manifest(manifest, file, folder / MANIFEST)


def _write_manifest(manifest: Manifest, weights: Path, file: Path) -> str:
    complete = dataclasses.replace(manifest, tensors=safetensors.hash_tensors(weights))
    others = hash_files(file.parent, {file.name, weights.name})
    file.write_bytes(sealed(complete.to_json(), others).encode())
    return complete.sha256


def _verify(entry: Entry) -> None:
    again = (
        "reinstall the package" if entry.shipped else f"`rm({entry.hosted!r})`, and make it again"
    )
    safetensors.verify(entry.weights, entry.manifest.tensors, hint=again, follow=entry.shipped)
    check_files(entry.path / MANIFEST, follow=entry.shipped)


def _order(entry: Entry) -> tuple[str, int, str, int]:
    manifest = entry.manifest
    kind = KINDS.index(manifest.kind)
    return manifest.backbone.id, kind, manifest.name, manifest.d_abi or 0
