"""Names that are taken before the work, and given back after it; see `registry.claims`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from transplant.errors import ExistsError, StorageError, TransplantError
from transplant.files.plain import check_inside
from transplant.files.room import check_room
from transplant.files.writable import check_above

from . import claims, staging
from .entry import MANIFEST
from .manifest import BackboneRecord
from .names import backbone_key, check_name
from .references import References

if TYPE_CHECKING:
    from transplant.library import BackboneIdentity

OPEN = "`registry`, a folder that you may write to"


class Claiming(References):
    """What refuses and takes names before an artifact is made."""

    def check_name(self, name: str) -> None:
        """Refuse what cannot be a name, whatever is stored.

        Raises:
            InputError: naming what it may hold.
        """
        check_name(name)

    def check_free(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None
    ) -> None:
        """Refuse, before the work, a name that cannot be stored.

        What was made for the same weights under another name that leads to them does not take it.

        Args:
            kinds: what is to be stored; of a backbone the other arguments are None.
            name: its own name.
            backbone: what it belongs to.
            d_abi: the width of the shared space, 0 for none; None where it may be any.

        Raises:
            InputError: it cannot be a name.
            ExistsError: an artifact of one of these kinds has it.
            CorruptError, VersionError: one that may have it cannot be read.
        """
        self._refuse_taken(kinds, name, backbone, d_abi, replaceable="backbone" in kinds)

    def _refuse_taken(
        self, kinds: Sequence[str], name: str, backbone: str | None, d_abi: int | None,
        *, replaceable: bool,
    ) -> None:  # fmt: skip
        """Refuse a name that is taken; say `replace` where it would make a difference."""
        check_name(name)
        for kind in kinds:
            if kind == "backbone":
                taken = [name] if self.holds_backbone(name) else []
            else:
                taken = [
                    entry.hosted
                    for entry in self.choices(kind, backbone, name, d_abi)
                    if self._is_of(entry, backbone)
                ]
            if taken:
                replace = ", `replace` where there is one" if replaceable else ""
                raise ExistsError(
                    f"{kind} {taken[0]} is already in the registry",
                    hint=f"`rm({taken[0]!r})`{replace}, or another name",
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
            StorageError: the disk is too full, or the root or a folder in it cannot be written.
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
            self._refuse_taken(kinds, name, backbone, d_abi or 0, replaceable=True)
        for place in places:
            if (self.reference / place / MANIFEST).exists():
                raise ExistsError(f"{name} ships with abi", hint="another `name`")
            check_above(self.root / place, hint=OPEN)
        check_room(self.root, needed, "`rm('NAME')`, or a `registry` on another disk")
        what = name if backbone is None else f"{name}@{backbone}"
        with claims.attempt():
            taken = claims.claim(self.root, places, what)
            if taken and not replace:  # once more: another run may have ended in between
                self._refuse_taken(kinds, name, backbone, d_abi or 0, replaceable=True)
        if taken and not replace and backbone is not None:
            self.claimed.append((tuple(kinds), name, backbone, d_abi))

    def meet(self, backbone: BackboneIdentity) -> None:
        """Note what a name stands for, now that it is loaded: what was made for it can be found.

        Raises:
            ExistsError: a name that was taken for it before that was known is one that an artifact
                of the same weights has.
        """
        known = self.fingerprints(backbone.name)
        self.met[backbone_key(backbone.name)] = BackboneRecord.of(backbone)
        if known is None:
            for kinds, name, host, d_abi in self.claimed:
                if host == backbone.name:
                    self._refuse_taken(kinds, name, host, d_abi or 0, replaceable=True)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A block whose names are given back where it fails; those taken before it stay."""
        before = [*self.claimed]
        try:
            with claims.attempt():
                yield
        except BaseException:
            self.claimed[:] = before
            raise

    def release(self) -> None:
        """Give back every name that was taken and not written."""
        self.claimed.clear()
        claims.release_all(self.root)

    def checkpoint_path(
        self, name: str, backbone: str | None = None, d_abi: int | None = None
    ) -> Path:
        """Where a run that can be resumed keeps its state."""
        own = f"{name}.core" if backbone is None else f"{name}@{backbone_key(backbone)}-d{d_abi}"
        return self.root / ".runs" / f"{own}.safetensors"

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
                entry = self._read_own(place)
                stored = (entry.path / MANIFEST).stat().st_mtime_ns
                trained = not entry.manifest.parents  # a moved one says nothing of a training
                if trained and checkpoint.stat().st_mtime_ns <= stored:
                    checkpoint.unlink()
