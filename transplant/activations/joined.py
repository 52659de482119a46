"""Several files of activations as one: the parts that several processes captured."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from transplant.activations.hdf5 import fixed_text, new_hdf5, write_header
from transplant.activations.layout import DIGEST, SHARE, STORED, CaptureHeader
from transplant.activations.parts import Part
from transplant.activations.reader import Activations
from transplant.activations.staging import staged
from transplant.errors import InputError


def join(parts: Sequence[Path], out: Path) -> None:
    """Makes a file that reads as if one process had captured all documents, part after part.

    The parts stay where they are, in the folder of the new file or below it: the new file refers to
    them, relative to its own place. Where
    each part has the fingerprint of its own documents, the new file gets that of all of them; of
    `made` it gets what all parts agree on.

    Args:
        parts: complete files over different documents.
        out: the file to make.

    Raises:
        InputError: no parts, an incomplete one, one outside the folder of `out`, a document in two
            of them, or parts that disagree.
        NotFoundError, CorruptError, VersionError: as `Activations.open`.
        ExistsError: something is at `out`.
        StorageError: the disk refused.
    """
    if not parts:
        raise InputError("nothing to join", expected="one part or more")
    with ExitStack() as stack:
        opened = [stack.enter_context(Activations.open(Path(part))) for part in parts]
        header = _joined_header(opened)
        tables = _joined_tables(opened)
        needed = 2**20 + sum(table.nbytes for table in tables.values())
        listed = [_listed(part, out) for part in opened]
        hashed = {name: table for name, table in tables.items() if name != "committed"}
        with staged(out, needed) as (temporary, handle), new_hdf5(temporary, joined=True) as file:
            write_header(file, header, hashed, listed)
            for name, table in tables.items():
                file.create_dataset(name, data=table)
            for name in ("ids", "labels", "ends"):
                _refer(file, name, listed, np.dtype(np.int32))
            for tap, width in zip(header.taps, header.widths, strict=True):
                dataset = _refer(file, f"taps/{tap}", listed, STORED[header.dtype], width)
                dataset.attrs["dtype"] = fixed_text(header.dtype)
        os.close(handle)


def _listed(part: Activations, out: Path) -> Part:
    """What the new file says of a part.

    Raises:
        InputError: the part lies outside the folder of the new file.
    """
    place, folder = part.path.resolve(), out.parent.resolve()
    if not place.is_relative_to(folder):
        raise InputError(
            f"{part.path} is to be joined in {out}", expected=f"a part in {folder} or below",
            hint="an `out` above all parts",
        )  # fmt: skip
    return Part(place.relative_to(folder).as_posix(), part.rows, part.content_sha256)


def _joined_header(parts: Sequence[Activations]) -> CaptureHeader:
    first, others = parts[0].header, [part.header for part in parts[1:]]
    for part in parts[1:]:
        for name in vars(first):
            held, here = getattr(first, name), getattr(part.header, name)
            if held != here and name not in SHARE:
                raise InputError(
                    f"{part.path} has other {name} than {parts[0].path}",
                    expected=held,
                    found=here,
                    hint="capture all parts with the same options",
                )
    fingerprint = first.corpus_fingerprint
    if any(other.corpus_fingerprint != fingerprint for other in others):
        digests = sorted(digest for part in parts for digest in part.digests)
        # As `transplant.text.splits.fingerprint` has it for the documents themselves.
        fingerprint = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    shared = {
        key: value
        for key, value in first.made.items()
        if all(key in other.made and other.made[key] == value for other in others)
    }
    return dataclasses.replace(first, corpus_fingerprint=fingerprint, made=shared)


def _joined_tables(parts: Sequence[Activations]) -> dict[str, np.ndarray]:
    """What the new file holds itself: windows and documents, numbered on from part to part."""
    first_row, document = [np.zeros(1, np.int64)], [np.zeros(0, np.int32)]
    digests: list[str] = []
    owner: dict[str, int] = {}
    rows = 0
    for number, part in enumerate(parts):
        for digest in part.digests:
            if owner.setdefault(digest, number) != number:
                what = f"{part.path} holds a document of {parts[owner[digest]].path}"
                hint = "give each part once, over documents of its own"
                raise InputError(what, found=digest[:12], hint=hint)
        first_row.append(part.first_row[1:] + rows)
        document.append((part.document + len(digests)).astype(np.int32))
        digests += part.digests
        rows += part.rows
    return {
        "windows/first_row": np.concatenate(first_row),
        "windows/document": np.concatenate(document),
        "documents/digest": np.array(digests, dtype=DIGEST),
        "committed": np.array([rows], np.int64),
    }


def _refer(
    file: h5py.File,
    name: str,
    parts: Sequence[Part],
    dtype: np.dtype,
    *width: int,
) -> Any:
    """A dataset whose rows are those of the parts."""
    layout = h5py.VirtualLayout((sum(part.rows for part in parts), *width), dtype)
    first = 0
    for part in parts:
        if part.rows:
            layout[first : first + part.rows] = h5py.VirtualSource(
                _escaped(part.file), _escaped(name), (part.rows, *width)
            )
        first += part.rows
    return file.create_virtual_dataset(name, layout)


def _escaped(name: str) -> str:
    return name.replace("%", "%%")  # HDF5 reads %b as a number
