"""The parts of a joined file: which files they are, and that they lie in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import h5py

from transplant.activations.objects import attribute, dataset
from transplant.errors import InputError

COLUMNS = ("ids", "labels", "ends")


@dataclass(frozen=True)
class Part:
    """What a joined file says of one part."""

    file: str
    """Its path, relative to the folder of the joined file, with `/`."""
    rows: int
    """Its rows."""
    content_sha256: str | None
    """The hash of its attributes and tables; None for a file from before there was one."""


def is_joined(file: h5py.File) -> bool:
    """Whether a file was joined from parts; before there were checksums, views alone said so."""
    if "parts" in file.attrs:
        return True
    if attribute(file, "schema_version") != 1:
        return False
    raw = b"ids"
    return bool(file.id.links.exists(raw)) and _is_view(file)


def parts_of(file: h5py.File, taps: tuple[str, ...]) -> list[Part]:
    """The parts of a joined file, in order; for use inside `damage_named`.

    Raises:
        InputError: a malformed list, or a part outside the folder of the file.
    """
    held = attribute(file, "parts")
    parts = (
        _views_of(file, taps) if held is None else [_part(fields) for fields in json.loads(held)]
    )
    for part in parts:
        path = PurePosixPath(part.file)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise InputError(
                f"part {part.file}", expected="a file in the folder of the joined one",
                hint="join the parts again, in a folder above them",
            )  # fmt: skip
    return parts


def place_of_part(joined: Path, part: Part) -> Path:
    """Where a part lies.

    Raises:
        InputError: a link leads out of the folder of the joined file.
    """
    folder = joined.resolve().parent
    place = folder / part.file
    if not place.resolve().is_relative_to(folder):
        raise InputError(f"part {part.file} of {joined} lies outside its folder")
    return place


def _part(fields: Any) -> Part:
    part = Part(**fields)
    if not isinstance(part.file, str) or type(part.rows) is not int or part.rows < 0:
        raise InputError("parts", expected="files and their rows", found=fields)
    return part


def _is_view(file: h5py.File) -> bool:
    found = file.get("ids", getlink=True)
    if not isinstance(found, h5py.HardLink):
        return False
    held = file["ids"]
    return isinstance(held, h5py.Dataset) and held.is_virtual


def _views_of(file: h5py.File, taps: tuple[str, ...]) -> list[Part]:
    """As the views of a file without a list have it: all of the same parts, one after the other."""
    listed: set[tuple[tuple[str, int], ...]] = set()
    for name in (*COLUMNS, *(f"taps/{tap}" for tap in taps)):
        view = dataset(file, name, virtual=True)
        rows, found = 0, list[tuple[str, int]]()
        sources = [(source.vspace.get_select_bounds(), source) for source in view.virtual_sources()]
        for (begin, end), source in sorted(sources, key=lambda pair: pair[0]):
            if begin[0] != rows or source.dset_name.replace("%%", "%") != name:
                raise InputError(f"{name} is no view of the rows of its parts")
            rows = int(end[0]) + 1
            found.append((source.file_name.replace("%%", "%"), rows - int(begin[0])))
        if rows != len(view):
            raise InputError(f"{name} has rows that no part holds")
        listed.add(tuple(found))
    if len(listed) != 1:
        raise InputError("the views of the file are of different parts")
    return [Part(name, rows, None) for name, rows in listed.pop()]
