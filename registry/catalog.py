"""Finding artifacts: every entry under the folders of a registry, or the one of a name.

An artifact belongs to the weights that it was made for, not to what they were called: where a
backbone's fingerprints are known (`same`), what was made for them under another name or path is
found, too, and what stands under its name but was made for other weights is passed over.
"""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from transplant.errors import ArtifactError, InputError, NotFoundError, StorageError
from transplant.files.remembered import HASH
from transplant.library import Fingerprints, HostedName, difference

from .bases import Base, kind_at
from .entry import MANIFEST, Broken, Entry, is_place, name_at
from .manifest import KINDS
from .names import backbone_key, check_name

CLOSEST = 3
"""How many names are offered in place of one that is not there."""


def scan(
    bases: Sequence[Base], backbone: str | None = None, same: Fingerprints | None = None
) -> Iterator[Entry | ArtifactError | StorageError]:
    """Every artifact, or the error that reading it gave; an earlier base hides a later one."""
    if backbone is not None and same is not None:
        yield from elsewhere(bases, backbone, same)
    key = "*" if backbone is None else backbone_key(backbone)
    seen: set[Path] = set()
    for base in bases:
        for place in sorted(base.places(key) - seen):
            seen.add(place)
            try:
                yield base.entry(place)
            except NotFoundError:  # removed since it was listed
                continue
            except (ArtifactError, StorageError) as error:
                yield error


def elsewhere(
    bases: Sequence[Base], backbone: str, same: Fingerprints,
    kind: str = "*", name: str = "*", d_abi: int | None = None,
) -> Iterator[Entry]:  # fmt: skip
    """What was made for these weights under another name of them; damaged ones are passed over."""
    own, space = backbone_key(backbone), "d*" if d_abi is None else f"d{d_abi}"
    seen: set[Path] = set()
    for base in bases:
        found = glob.glob(f"*/{space}/{kind}/{name}/{MANIFEST}", root_dir=base.root)
        for place in sorted({Path(text).parent for text in found} - seen):
            if place.parts[0] == own or not is_place(place):
                continue
            seen.add(place)
            with suppress(ArtifactError, StorageError):
                entry = base.entry(place)
                if fits(entry, same):
                    yield entry


def fits(entry: Entry, same: Fingerprints) -> bool:
    """Whether an artifact was made for a backbone of these fingerprints."""
    return difference(entry.manifest.backbone, same) is None


def belongs_elsewhere(entry: Entry, same: Fingerprints) -> bool:
    """Whether an artifact was made for a backbone that is known to be another one."""
    known = HASH.fullmatch(entry.manifest.backbone.weights_sha256)
    return known is not None and not fits(entry, same)


def choices(
    bases: Sequence[Base], kind: str, backbone: str | None, name: str | None,
    d_abi: int | None = None, same: Fingerprints | None = None,
) -> Iterator[Entry]:  # fmt: skip
    """Every artifact that one may be chosen from.

    Raises:
        CorruptError, VersionError, StorageError: one cannot be read, and might be the one.
    """
    key = "*" if backbone is None else backbone_key(backbone)
    exact = None  # a whole name has one place: nothing is listed
    if None not in (backbone, name, d_abi):
        exact = {Path(key, f"d{d_abi}", kind, check_name(str(name)))}
    seen: set[Path] = set()
    for base in bases:
        for place in sorted((exact or base.places(key)) - seen):
            seen.add(place)
            if kind_at(place) == kind and name in (None, place.name):
                try:
                    entry = base.entry(place)
                except NotFoundError:  # removed since it was listed
                    continue
                if same is None or kind == "backbone" or not belongs_elsewhere(entry, same):
                    yield entry
    if backbone is not None and same is not None:
        yield from elsewhere(bases, backbone, same, kind, name or "*", d_abi)


def find(
    bases: Sequence[Base], kind: str, name: str, backbone: str | None, d_abi: int | None,
    same: Fingerprints | None = None,
) -> Entry:  # fmt: skip
    """The one artifact of that name.

    Raises:
        NotFoundError: there is none; the message lists the closest names.
        InputError: there are several.
        CorruptError: it is there, with a broken manifest.
    """
    found = held(bases, kind, name, backbone, d_abi, same)
    if found is None:
        raise _not_found(bases, kind, name, backbone, d_abi)
    if isinstance(found, Broken):
        raise found.error
    return found


def get(
    bases: Sequence[Base], kind: str, name: str, backbone: str | None, d_abi: int | None,
    same: Fingerprints | None = None,
) -> Entry | None:  # fmt: skip
    """The one artifact of that name; None where there is none, and then no others are read.

    Raises:
        InputError: there are several.
        CorruptError: it is there, with a broken manifest.
    """
    found = held(bases, kind, name, backbone, d_abi, same)
    if not isinstance(found, Broken):
        return found
    if isinstance(found.error, NotFoundError):
        return None
    raise found.error


def held(
    bases: Sequence[Base], kind: str, name: str, backbone: str | None, d_abi: int | None,
    same: Fingerprints | None = None,
) -> Entry | Broken | None:  # fmt: skip
    """The one artifact of that name, be it broken; None where there is none.

    What stands under that very name and was made for its weights comes first, then what was made
    for them under another name, then what stands under that name and was made for others.

    Raises:
        InputError: there are several.
    """
    check_kind(kind)
    found = _standing(bases, kind, name, backbone, d_abi)
    if not found and backbone is not None:
        found = [*_beside(bases, backbone, kind, name, d_abi)]
    if same is not None and backbone is not None:
        fitting = [it for it in found if isinstance(it, Broken) or not belongs_elsewhere(it, same)]
        found = fitting or [*elsewhere(bases, backbone, same, kind, name, d_abi)] or found
    if not found:
        return None
    if len(found) > 1:
        names = sorted(entry.hosted for entry in found)
        alike = len({text.rpartition("/d")[0] for text in names}) == 1
        raise InputError(
            f"{kind} {name}@{backbone} is ambiguous",
            expected=f"one of {', '.join(names)}",
            hint=f"{'add /d<d_abi>' if alike else 'a full name'}, as in {names[0]}",
        )
    return found[0]


def _beside(
    bases: Sequence[Base], backbone: str, kind: str, name: str, d_abi: int | None
) -> Iterator[Entry]:
    """What was put beside the folder of a backbone, because other weights had that name there."""
    key, space = backbone_key(backbone), "d*" if d_abi is None else f"d{d_abi}"
    for base in bases:
        pattern = f"{key}-{'[0-9a-f]' * 8}/{space}/{kind}/{name}/{MANIFEST}"
        for text in glob.glob(pattern, root_dir=base.root):
            with suppress(ArtifactError, StorageError):
                entry = base.entry(Path(text).parent)
                if backbone_key(entry.manifest.backbone.id) == key:
                    yield entry


def _standing(
    bases: Sequence[Base], kind: str, name: str, backbone: str | None, d_abi: int | None
) -> list[Entry | Broken]:
    """What stands under the folders of that name; a broken one counts where no other does."""
    found: dict[Path, Entry | Broken] = {}
    unfinished: dict[Path, Entry | Broken] = {}
    for base in bases:
        for place in base.candidates(kind, name, backbone, d_abi):
            if place in found:
                continue
            try:
                found[place] = base.entry(place)
            except (ArtifactError, StorageError, NotFoundError) as error:
                gone = isinstance(error, NotFoundError)
                if gone and not os.path.lexists(base.root / place):
                    continue
                (unfinished if gone else found)[place] = Broken(
                    path=base.root / place, kind=kind, hosted=name_at(place)[1],
                    shipped=base.shipped, error=error,
                )  # fmt: skip
    # An interface without its module can be removed, not found.
    return [*(found or unfinished).values()]


def check_kind(kind: str) -> None:
    """Refuse a kind that no artifact has.

    Raises:
        InputError: naming those that there are.
    """
    if kind not in KINDS:
        raise InputError("kind", expected=f"one of {', '.join(KINDS)}", found=repr(kind))


def _hosted_as(entries: Sequence[Entry], name: str) -> list[str]:
    """The names, with their backbones, of what is hosted under a bare name."""
    return sorted({
        f"{name}@{entry.manifest.backbone.id}"
        for entry in entries
        if entry.manifest.name == name and entry.kind not in ("backbone", "interface", "gate")
    })  # fmt: skip


def _hosted_like(entries: Sequence[Entry], name: str) -> list[str]:
    """Modules to offer for a bare name that no backbone is like: `python-shipped` for `python`."""
    of_kind = {kind: {entry.manifest.name for entry in entries if entry.kind == kind}
               for kind in ("backbone", "module")}  # fmt: skip
    if difflib.get_close_matches(name, of_kind["backbone"], n=1):
        return []
    begun = sorted(one for one in of_kind["module"] if one.startswith(name))
    like = begun or difflib.get_close_matches(name, of_kind["module"], n=1)
    return [full for one in like[:1] for full in _hosted_as(entries, one)][:CLOSEST]


def _not_found(
    bases: Sequence[Base], kind: str, name: str, backbone: str | None, d_abi: int | None
) -> NotFoundError:
    wanted = name if kind == "backbone" else str(HostedName(name, backbone or "", d_abi))
    entries = [item for item in scan(bases) if isinstance(item, Entry)]
    if kind == "backbone" and (hosted := _hosted_as(entries, name)):
        return NotFoundError(
            f"no backbone {name}", expected="a backbone, or NAME@BACKBONE",
            found=f"{', '.join(hosted)}", hint=f"the full name, as {hosted[0]}",
        )  # fmt: skip
    names = [entry.hosted for entry in entries if entry.manifest.kind == kind]
    likest = difflib.get_close_matches(wanted, names, n=CLOSEST, cutoff=0.0)
    closest = ([*_hosted_like(entries, wanted)] if kind == "backbone" else []) or likest
    return NotFoundError(
        f"no {kind} {wanted}",
        expected="one that exists",
        found=f"the closest are {', '.join(closest)}" if closest else f"no {kind} at all",
        hint="`list()`",
    )
