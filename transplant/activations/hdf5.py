"""Making and opening the HDF5 file that `layout` describes."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5g, h5p  # pyright: ignore[reportAttributeAccessIssue]  compiled

from transplant.activations.checksums import content_sha256
from transplant.activations.layout import SCHEMA_VERSION, STORED, CaptureHeader, TokenTable
from transplant.activations.objects import attribute, check_distinct, dataset
from transplant.activations.parts import COLUMNS, Part, is_joined, parts_of
from transplant.errors import (
    CorruptError,
    InputError,
    NotFoundError,
    ShapeError,
    StorageError,
    VersionError,
    foreign,
)

CHUNK_BYTES = 2**20
AGAIN = "`capture()` it again"
_SLACK = 2**16  # bytes: what HDF5 needs for a tap
_WORD = 8  # bytes: `committed` lies on a multiple of it, so that it is never half written


def write_header(
    file: h5py.File,
    header: CaptureHeader,
    tables: dict[str, np.ndarray],
    parts: list[Part] | None = None,
) -> None:
    """Write the attributes of the root.

    Args:
        file: the new file.
        header: most of them.
        tables: what is hashed with them, by the names of the datasets.
        parts: those of a joined file.
    """
    fields = {key: value for key, value in vars(header).items() if key != "widths"}
    fields |= {"taps": json.dumps(header.taps), "made": json.dumps(header.made, sort_keys=True)}
    if header.config_sha256 is None:
        del fields["config_sha256"]
    listed = [vars(part) for part in parts or ()]
    if parts is not None:
        fields["parts"] = json.dumps(listed)
    fields["content_sha256"] = content_sha256(header, tables, listed)
    for key, value in {"schema_version": SCHEMA_VERSION, **fields}.items():
        file.attrs[key] = fixed_text(value) if isinstance(value, str) else value


def fixed_text(text: str) -> np.ndarray:
    """A string of fixed length: HDF5 may hang on a damaged file that holds others."""
    raw = text.encode(errors="surrogateescape")  # the name of a file may be no Unicode
    return np.array(raw, h5py.string_dtype("utf-8", max(1, len(raw))))


def new_hdf5(path: Path, *, joined: bool = False) -> h5py.File:
    """An empty file without time stamps, so that the same content gives the same bytes."""
    access, create = h5p.create(h5p.FILE_ACCESS), h5p.create(h5p.FILE_CREATE)
    access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
    access.set_alignment(_WORD, _WORD)
    access.set_file_locking(False, True)  # the writer holds a lock of its own
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    create.set_obj_track_times(False)
    file = h5py.File(h5f.create(os.fsencode(path), h5f.ACC_TRUNC, create, access))
    group = h5p.create(h5p.GROUP_CREATE)
    group.set_obj_track_times(False)
    for name in (b"windows", b"documents", b"taps", *([] if joined else [b"sums"])):
        h5g.create(file.id, name, gcpl=group)
    return file


def build(path: Path, header: CaptureHeader, tokens: TokenTable) -> None:
    """Make a whole file, with room for every row of every tap and nothing in it yet."""
    with new_hdf5(path) as file:
        tables = tokens.datasets()
        write_header(file, header, tables)
        for name, values in tables.items():
            file.create_dataset(name, data=values)
        taps, sums = file.require_group("taps"), file.require_group("sums")
        for tap, width in zip(header.taps, header.widths, strict=True):
            dtype = STORED[header.dtype]
            held = taps.create_dataset(
                tap, (tokens.rows, width), dtype, maxshape=(None, width), dcpl=_room(),
                chunks=(_chunk_rows(width, dtype), width),
            )  # fmt: skip
            held.attrs["dtype"] = fixed_text(header.dtype)
            sums.create_dataset(tap, (tokens.rows,), np.dtype("<u8"), dcpl=_room())
        file.create_dataset("committed", data=np.zeros(1, np.int64))


def _room() -> Any:
    """Space for all rows from the start, in which nothing is written."""
    room = h5p.create(h5p.DATASET_CREATE)
    room.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    room.set_fill_time(h5d.FILL_TIME_NEVER)
    return room


def built_size(header: CaptureHeader, tokens: TokenTable) -> int:
    """About the bytes that `build` takes."""
    total = sum(values.nbytes for values in tokens.datasets().values())
    for width in header.widths:
        dtype = STORED[header.dtype]
        rows = _chunk_rows(width, dtype)
        total += -(-tokens.rows // rows) * rows * width * dtype.itemsize + _SLACK
        total += tokens.rows * 8
    return total


def _chunk_rows(width: int, dtype: np.dtype) -> int:
    return max(1, CHUNK_BYTES // (width * dtype.itemsize))


def open_file(path: Path) -> h5py.File:
    """The HDF5 file at `path`, for reading; a writer may be at work on it.

    Raises:
        NotFoundError: there is none.
        CorruptError: it is cut short, or is something else.
        VersionError: a newer version of this tool wrote it.
        StorageError: it may not be read.
    """
    with _system_errors(path):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise CorruptError(f"{path} is no whole HDF5 file", expected="a file", hint=AGAIN)
    # The real path: the parts of a joined file are found relative to it. A lock of HDF5 would
    # shut readers out while a writer is at work.
    with _system_errors(path):
        file = h5py.File(path.resolve(), "r", locking=False)
    try:
        with damage_named(path):
            version = attribute(file, "schema_version")
        _check_version(path, version)
    except BaseException:
        file.close()
        raise
    return file


def _check_version(path: Path, version: Any) -> None:
    if not isinstance(version, int) or version < 1:
        expected = "HDF5 with a schema_version"
        raise CorruptError(f"{path} holds no activations", expected=expected, hint=AGAIN)
    if version > SCHEMA_VERSION:
        known = f"schema {SCHEMA_VERSION}"
        raise VersionError(f"{path}", expected=known, found=version, hint="a newer abi")


@contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    with foreign(f"{path} is no whole HDF5 file", CorruptError, hint=AGAIN):
        try:
            yield
        except FileNotFoundError as error:
            hint = "`capture(out='FILE')` makes one"
            raise NotFoundError(f"no file {path}", hint=hint) from error
        except PermissionError as error:
            raise StorageError(f"cannot read {path}: {error}") from error


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn whatever reading a damaged file raises into a CorruptError that names the file."""
    try:
        with foreign(f"{path} is damaged", CorruptError, hint=AGAIN):
            yield
    except (InputError, ShapeError) as error:
        found = str(type(error)(error.what, expected=error.expected, found=error.found))[:200]
        raise CorruptError(f"{path} is damaged", found=found, hint=error.hint or AGAIN) from error


def read_header(file: h5py.File) -> CaptureHeader:
    """The attributes of the root, and the widths; for use inside `damage_named`."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(CaptureHeader):
        value = attribute(file, field.name)
        if field.name == "widths" or (field.name == "config_sha256" and value is None):
            continue  # the second was once not written
        if isinstance(value, bytes) == (field.name == "window") or value is None:
            raise InputError(f"attribute {field.name}", found=value)
        is_text = isinstance(value, bytes)
        fields[field.name] = value.decode(errors="surrogateescape") if is_text else value
    fields["taps"] = tuple(json.loads(fields["taps"]))
    fields["made"] = json.loads(fields["made"])
    if not isinstance(fields["made"], dict) or not all(isinstance(t, str) for t in fields["taps"]):
        raise InputError("attributes taps and made", expected="a list of names, and an object")
    joined = is_joined(file)
    rows = len(dataset(file, "ids", virtual=joined))
    taps = {name: dataset(file, f"taps/{name}", virtual=joined) for name in fields["taps"]}
    if any(tap.ndim != 2 for tap in taps.values()):
        raise ShapeError("taps", expected="[rows, width] each")
    header = CaptureHeader(**fields, widths=tuple(int(tap.shape[1]) for tap in taps.values()))
    for name, tap in taps.items():
        if (len(tap), tap.dtype) != (rows, STORED[header.dtype]):
            expected, found = f"{rows} rows of {header.dtype}", f"{len(tap)} of {tap.dtype}"
            raise ShapeError(f"taps/{name}", expected=expected, found=found)
    check_distinct(taps)
    return header


def check_content(file: h5py.File, header: CaptureHeader) -> str | None:
    """The hash of the attributes and tables, as held and as computed; for use in `damage_named`.

    Returns:
        None for a file from before there were checksums.

    Raises:
        InputError: they differ, or a sum for each row is missing.
    """
    if attribute(file, "schema_version") == 1:
        return None
    joined = is_joined(file)
    names = ("windows/first_row", "windows/document", "documents/digest")
    tables = {name: dataset(file, name) for name in (*names, *(() if joined else COLUMNS))}
    parts = parts_of(file, header.taps) if joined else []
    found = content_sha256(header, tables, [vars(part) for part in parts])
    held = attribute(file, "content_sha256")
    if held != found.encode():
        raise InputError("attributes and tables do not have their checksum", expected=held)
    for tap in () if joined else header.taps:
        sums = dataset(file, f"sums/{tap}")
        if (sums.shape, sums.dtype) != (dataset(file, "ids").shape, np.dtype("<u8")):
            raise ShapeError(f"sums/{tap}", expected="one for each row", found=sums.shape)
    return found


def read_committed(file: h5py.File) -> int:
    """How many leading rows are complete; for use inside `damage_named`."""
    held, rows = dataset(file, "committed"), len(dataset(file, "ids", virtual=is_joined(file)))
    if held.shape != (1,) or held.dtype.kind != "i":
        raise ShapeError("committed", expected="one integer", found=f"{held.dtype} {held.shape}")
    committed = int(held[0])
    if not 0 <= committed <= rows:
        raise InputError("committed", expected=f"0 to {rows}", found=committed)
    return committed
