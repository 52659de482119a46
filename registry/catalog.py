"""Finding artifacts: every entry under the folders of a registry, or the one of a name."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from registry.entry import MANIFEST, Broken, Entry, is_place, name_at, read_entry
from registry.manifest import KINDS
from registry.names import HostedName, backbone_key, check_name
from registry.staging import final_of
from transplant.errors import ArtifactError, InputError, NotFoundError, StorageError

Base = tuple[Path, bool]
"""A root, and whether it ships with the package."""


def scan(
    bases: Sequence[Base], backbone: str | None = None
) -> Iterator[Entry | ArtifactError | StorageError]:
    """Every artifact, or the error that reading it gave; an earlier base hides a later one."""
    key = "*" if backbone is None else backbone_key(backbone)
    seen: set[Path] = set()
    for base, shipped in bases:
        for place in sorted(_places(base, key) - seen):
            seen.add(place)
            try:
                yield read_entry(base, place, shipped=shipped)
            except NotFoundError:  # removed since it was listed
                continue
            except (ArtifactError, StorageError) as error:
                yield error


def choices(
    bases: Sequence[Base], kind: str, backbone: str | None, name: str | None
) -> Iterator[Entry]:
    """Every artifact that one may be chosen from.

    Raises:
        CorruptError, VersionError, StorageError: one cannot be read, and might be the one.
    """
    key = "*" if backbone is None else backbone_key(backbone)
    seen: set[Path] = set()
    for base, shipped in bases:
        for place in sorted(_places(base, key) - seen):
            seen.add(place)
            if _kind_of(place) == kind and name in (None, place.name):
                try:
                    yield read_entry(base, place, shipped=shipped)
                except NotFoundError:  # removed since it was listed
                    continue


def find(
    bases: Sequence[Base], kind: str, name: str, backbone: str | None, d_abi: int | None
) -> Entry:
    """The one artifact of that name.

    Raises:
        NotFoundError: there is none; the message lists the closest names.
        InputError: there are several.
        CorruptError: it is there, with a broken manifest.
    """
    found = held(bases, kind, name, backbone, d_abi)
    if isinstance(found, Broken):
        raise found.error
    return found


def held(
    bases: Sequence[Base], kind: str, name: str, backbone: str | None, d_abi: int | None
) -> Entry | Broken:
    """The one artifact of that name, be it broken.

    Raises:
        NotFoundError: there is none; the message lists the closest names.
        InputError: there are several.
    """
    check_kind(kind)
    found: dict[Path, Entry | Broken] = {}
    unfinished: dict[Path, Entry | Broken] = {}
    for base, shipped in bases:
        for place in _candidates(base, kind, name, backbone, d_abi):
            if place in found:
                continue
            try:
                found[place] = read_entry(base, place, shipped=shipped)
            except (ArtifactError, StorageError, NotFoundError) as error:
                gone = isinstance(error, NotFoundError)
                if gone and not os.path.lexists(base / place):
                    continue
                (unfinished if gone else found)[place] = Broken(
                    path=base / place, kind=kind, hosted=name_at(place)[1], shipped=shipped,
                    error=error,
                )  # fmt: skip
    found = found or unfinished  # an interface without its module can be removed, not found
    if not found:
        raise _not_found(bases, kind, name, backbone, d_abi)
    if len(found) > 1:
        names = sorted(entry.hosted for entry in found.values())
        raise InputError(
            f"{kind} {name}@{backbone} is ambiguous",
            expected=f"one of {', '.join(names)}",
            hint=f"add /d<d_abi>, as in {names[0]}",
        )
    return next(iter(found.values()))


def check_kind(kind: str) -> None:
    """Refuse a kind that no artifact has.

    Raises:
        InputError: naming those that there are.
    """
    if kind not in KINDS:
        raise InputError("kind", expected=f"one of {', '.join(KINDS)}", found=repr(kind))


def _kind_of(place: Path) -> str:
    return "backbone" if len(place.parts) == 1 else place.parts[2]


def _places(base: Path, key: str) -> set[Path]:
    # glob.glob and not Path.glob: it leaves out hidden folders, and bears folders that vanish.
    backbones = {Path(text).parent for text in glob.glob(f"{key}/{MANIFEST}", root_dir=base)}
    folders = {
        Path(text)
        for pattern in ("*", ".*.old")
        for text in glob.glob(f"{key}/d*/*/{pattern}", root_dir=base)
    }
    return backbones | {
        place
        for place in map(final_of, folders)
        if is_place(place) and not (base / place).is_file()
    }


def _candidates(
    base: Path, kind: str, name: str, backbone: str | None, d_abi: int | None
) -> list[Path]:
    if kind == "backbone":
        place = Path(backbone_key(name))
        return [place] if os.path.lexists(base / place / MANIFEST) else []
    if backbone is None:
        raise InputError(f"{kind} {name}", expected="the backbone it belongs to", found="none")
    key = backbone_key(backbone)
    spaces = glob.glob(f"{key}/d*", root_dir=base) if d_abi is None else [f"{key}/d{d_abi}"]
    spaces = [space for space in spaces if re.fullmatch(r"d\d+", Path(space).name)]
    return [Path(space, kind, check_name(name)) for space in sorted(spaces)]


def _not_found(
    bases: Sequence[Base], kind: str, name: str, backbone: str | None, d_abi: int | None
) -> NotFoundError:
    wanted = name if kind == "backbone" else str(HostedName(name, backbone or "", d_abi))
    entries = [item for item in scan(bases) if isinstance(item, Entry)]
    names = [entry.hosted for entry in entries if entry.manifest.kind == kind]
    closest = difflib.get_close_matches(wanted, names, n=3, cutoff=0.0)
    return NotFoundError(
        f"no {kind} {wanted}",
        expected="one that exists",
        found=f"the closest are {', '.join(closest)}" if closest else f"no {kind} at all",
        hint="`list()`",
    )
