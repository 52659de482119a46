"""Making and opening the HDF5 file that `layout` describes."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5g, h5p  # pyright: ignore[reportAttributeAccessIssue]  compiled

from transplant.activations.layout import SCHEMA_VERSION, STORED, CaptureHeader, TokenTable
from transplant.errors import (
    CorruptError,
    InputError,
    NotFoundError,
    ShapeError,
    StorageError,
    VersionError,
)

CHUNK_BYTES = 2**20
AGAIN = "`capture()` it again"
_DAMAGE = (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError)
_SLACK = 2**16  # bytes: what HDF5 needs for a tap
_WORD = 8  # bytes: `committed` lies on a multiple of it, so that it is never half written


def write_header(file: h5py.File, header: CaptureHeader) -> None:
    """Write the attributes of the root."""
    fields = {key: value for key, value in vars(header).items() if key != "widths"}
    fields |= {"taps": json.dumps(header.taps), "made": json.dumps(header.made, sort_keys=True)}
    if header.config_sha256 is None:
        del fields["config_sha256"]
    for key, value in {"schema_version": SCHEMA_VERSION, **fields}.items():
        file.attrs[key] = fixed_text(value) if isinstance(value, str) else value


def fixed_text(text: str) -> np.ndarray:
    """A string of fixed length: HDF5 may hang on a damaged file that holds others."""
    raw = text.encode(errors="surrogateescape")  # the name of a file may be no Unicode
    return np.array(raw, h5py.string_dtype("utf-8", max(1, len(raw))))


def new_hdf5(path: Path) -> h5py.File:
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
    for name in (b"windows", b"documents", b"taps"):
        h5g.create(file.id, name, gcpl=group)
    return file


def build(path: Path, header: CaptureHeader, tokens: TokenTable) -> None:
    """Make a whole file, with room for every row of every tap and nothing in it yet."""
    with new_hdf5(path) as file:
        write_header(file, header)
        for name, values in tokens.datasets().items():
            file.create_dataset(name, data=values)
        taps = file.require_group("taps")
        for tap, width in zip(header.taps, header.widths, strict=True):
            dtype = STORED[header.dtype]
            room = h5p.create(h5p.DATASET_CREATE)
            room.set_alloc_time(h5d.ALLOC_TIME_EARLY)
            room.set_fill_time(h5d.FILL_TIME_NEVER)
            held = taps.create_dataset(
                tap, (tokens.rows, width), dtype, maxshape=(None, width), dcpl=room,
                chunks=(_chunk_rows(width, dtype), width),
            )  # fmt: skip
            held.attrs["dtype"] = fixed_text(header.dtype)
        file.create_dataset("committed", data=np.zeros(1, np.int64))


def built_size(header: CaptureHeader, tokens: TokenTable) -> int:
    """About the bytes that `build` takes."""
    total = sum(values.nbytes for values in tokens.datasets().values())
    for width in header.widths:
        dtype = STORED[header.dtype]
        rows = _chunk_rows(width, dtype)
        total += -(-tokens.rows // rows) * rows * width * dtype.itemsize + _SLACK
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
    if not path.exists():
        raise NotFoundError(f"no file {path}", hint="`capture(out='FILE')` makes one")
    try:
        # The real path: the parts of a joined file are found relative to it. A lock of HDF5 would
        # shut readers out while a writer is at work.
        file = h5py.File(path.resolve(), "r", locking=False)
    except PermissionError as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except OSError as error:
        found = str(error)[:160]
        raise CorruptError(f"{path} is no whole HDF5 file", found=found, hint=AGAIN) from error
    try:
        with damage_named(path):
            version = file.attrs.get("schema_version")
        _check_version(path, version)
    except BaseException:
        file.close()
        raise
    return file


def _check_version(path: Path, version: Any) -> None:
    if not isinstance(version, np.integer):
        expected = "HDF5 with a schema_version"
        raise CorruptError(f"{path} holds no activations", expected=expected, hint=AGAIN)
    if version > SCHEMA_VERSION:
        known = f"schema {SCHEMA_VERSION}"
        raise VersionError(f"{path}", expected=known, found=version, hint="a newer abi")


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn what reading a damaged file raises into a CorruptError that names the file."""
    try:
        yield
    except (InputError, ShapeError, *_DAMAGE) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        raise CorruptError(f"{path} is damaged", found=str(text)[:200], hint=AGAIN) from error


def read_header(file: h5py.File) -> CaptureHeader:
    """The attributes of the root, and the widths; for use inside `damage_named`."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(CaptureHeader):
        if field.name == "config_sha256" and field.name not in file.attrs:
            continue  # written before there was one
        if field.name != "widths":
            value: Any = file.attrs[field.name]
            is_text = isinstance(value, bytes)
            if is_text == (field.name == "window"):
                raise TypeError(f"attribute {field.name} is {value!r}")
            fields[field.name] = value.decode(errors="surrogateescape") if is_text else int(value)
    fields["taps"] = tuple(json.loads(fields["taps"]))
    fields["made"] = json.loads(fields["made"])
    rows = len(dataset(file, "ids"))
    taps = {name: dataset(file, f"taps/{name}") for name in fields["taps"]}
    header = CaptureHeader(**fields, widths=tuple(int(tap.shape[1]) for tap in taps.values()))
    for name, tap in taps.items():
        if (len(tap), tap.dtype) != (rows, STORED[header.dtype]):
            expected, found = f"{rows} rows of {header.dtype}", f"{len(tap)} of {tap.dtype}"
            raise ShapeError(f"taps/{name}", expected=expected, found=found)
    return header


def read_committed(file: h5py.File) -> int:
    """How many leading rows are complete; for use inside `damage_named`."""
    committed, rows = int(dataset(file, "committed")[0]), len(dataset(file, "ids"))
    if not 0 <= committed <= rows:
        raise InputError("committed", expected=f"0 to {rows}", found=committed)
    return committed


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """One dataset; a KeyError where there is none of that name."""
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise KeyError(f"no dataset {name}")
    return found
