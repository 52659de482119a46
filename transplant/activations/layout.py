"""What a file of captured activations holds.

    ids, labels, ends     int32 [rows]; a row is one token position, or one window where pooled
    windows/first_row     int64 [n_windows + 1]; window w has the rows first_row[w]:first_row[w + 1]
    windows/document      int32 [n_windows], ascending
    documents/digest      [n_documents], the sha256 of each text
    taps/<name>           [rows, width], the hidden states; bfloat16 as its 16 bits
    committed             int64 [1], how many leading rows are complete

The attributes of the root are the fields of `CaptureHeader`; the widths are those of the taps.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5g, h5p  # pyright: ignore[reportAttributeAccessIssue]  compiled

from transplant.errors import (
    CorruptError,
    InputError,
    NotFoundError,
    ShapeError,
    StorageError,
    VersionError,
)

SCHEMA_VERSION = 1
STORED = {"bf16": np.dtype("<u2"), "fp16": np.dtype("<f2"), "fp32": np.dtype("<f4")}
POOLS = ("none", "mean", "last")
DIGEST = np.dtype("S64")  # sha256 in hex
SHARE = ("corpus_fingerprint", "made")  # in these fields, the parts of a joined file may differ
CHUNK_BYTES = 2**20
_DAMAGE = (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError)
AGAIN = "abi capture it again"
_SLACK = 2**16  # bytes: what HDF5 needs for a tap
_WORD = 8  # bytes: `committed` lies on a multiple of it, so that it is never half written


@dataclass(frozen=True, kw_only=True)
class CaptureHeader:
    """What was captured, from what, and how."""

    backbone: str
    """The name of the backbone."""
    family: str
    """Its family."""
    backbone_sha256: str
    """The fingerprint of its weights."""
    tokenizer_sha256: str
    """The fingerprint of its tokenizer."""
    corpus: str
    """Where the text came from."""
    corpus_fingerprint: str
    """The hash over its documents."""
    window: int
    """The most tokens that the backbone read at once."""
    pool: str
    """`none`: a row is a token position; `mean`, `last`: a row is a window."""
    dtype: str
    """How states are stored: `bf16`, `fp16` or `fp32`."""
    taps: tuple[str, ...]
    """The names of the taps, in order."""
    widths: tuple[int, ...]
    """The width of each tap, in the same order."""
    made: dict[str, Any]
    """How the file was made: anything that JSON can hold."""

    def __post_init__(self) -> None:
        if self.dtype not in STORED:
            raise InputError("dtype", expected=" or ".join(STORED), found=self.dtype)
        if self.pool not in POOLS:
            raise InputError("pool", expected=" or ".join(POOLS), found=self.pool)
        if not self.taps or len(set(self.taps)) < len(self.taps):
            raise InputError("taps", expected="distinct names", found=self.taps)
        if any(not tap.isprintable() or "/" in tap or tap in ("", ".") for tap in self.taps):
            raise InputError("taps", expected="names without /", found=self.taps)
        if len(self.widths) != len(self.taps) or min(self.widths) < 1:
            raise ShapeError("widths", expected=f"one for each of {self.taps}", found=self.widths)
        try:
            plain = json.loads(json.dumps(self.made, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InputError("made", expected="what JSON can hold", found=error) from error
        object.__setattr__(self, "made", plain)  # as a reader of the file has it


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenTable:
    """What every row of a file is; known before the backbone runs."""

    ids: np.ndarray
    """int32 [rows]: the token that was read last."""
    labels: np.ndarray
    """int32 [rows]: the token that comes next."""
    ends: np.ndarray
    """int32 [rows]: the character of the document up to which the row has read."""
    first_row: np.ndarray
    """int64 [n_windows + 1]: where the rows of each window begin, and at last the rows."""
    document: np.ndarray
    """int32 [n_windows]: the number of each window's document, ascending."""
    digests: tuple[str, ...]
    """The sha256 of each document's text, 64 hex digits."""

    def __post_init__(self) -> None:
        for name in ("ids", "labels", "ends"):
            check_column(name, getattr(self, name), np.int32, self.rows)
        check_windows(self.first_row, self.document, self.rows, len(self.digests))
        wrong = [digest for digest in self.digests if len(digest) != 64 or not digest.isascii()]
        if wrong:
            raise InputError("digests", expected="64 hex digits", found=wrong[0])

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.ids)

    def datasets(self) -> dict[str, np.ndarray]:
        """The same tables under the names that they have in a file."""
        return {
            "ids": self.ids,
            "labels": self.labels,
            "ends": self.ends,
            "windows/first_row": self.first_row,
            "windows/document": self.document,
            "documents/digest": np.array(self.digests, dtype=DIGEST),
        }


def check_column(name: str, column: Any, dtype: Any, length: int) -> None:
    """Refuse an array or a dataset that is not one column of that type and length."""
    if column.shape != (length,) or column.dtype != dtype:
        expected, found = f"{np.dtype(dtype)} [{length}]", f"{column.dtype} {list(column.shape)}"
        raise ShapeError(name, expected=expected, found=found)


def check_windows(first_row: np.ndarray, document: np.ndarray, rows: int, documents: int) -> None:
    """Refuse windows that do not cover the rows, document after document.

    Raises:
        ShapeError: lengths or types that do not fit.
        InputError: rows or documents out of order.
    """
    check_column("windows/document", document, np.int32, len(document))
    check_column("windows/first_row", first_row, np.int64, len(document) + 1)
    if first_row[0] != 0 or first_row[-1] != rows or np.any(np.diff(first_row) < 0):
        raise InputError("windows/first_row", expected=f"ascending from 0 to {rows}")
    edges = np.concatenate([[0], document, [documents - 1 if len(document) else 0]])
    if np.any(np.diff(edges) < 0):
        raise InputError("windows/document", expected=f"ascending, below {documents}")


def write_header(file: h5py.File, header: CaptureHeader) -> None:
    """Write the attributes of the root."""
    fields = {key: value for key, value in vars(header).items() if key != "widths"}
    fields |= {"taps": json.dumps(header.taps), "made": json.dumps(header.made, sort_keys=True)}
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
        raise NotFoundError(f"no file {path}", hint="abi capture --out FILE makes one")
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
