"""Writing activations so that a crash costs at most the rows since the last commit.

The number of rows is known before the backbone runs, so HDF5 makes the whole file at the start:
tables, attributes, and room for every row. From then on the library writes nothing. Rows go to
their places directly, and `committed` moves on once they are on the disk. So the file can be read
after a crash at any moment, and a resumed capture ends with the bytes of an uninterrupted one.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

from transplant.activations.checksums import row_sums
from transplant.activations.finite import all_finite, first_of_no_value, not_finite
from transplant.activations.hdf5 import (
    build,
    built_size,
    check_content,
    damage_named,
    open_file,
    read_committed,
    read_header,
)
from transplant.activations.layout import CaptureHeader, TokenTable, place_of
from transplant.activations.objects import dataset
from transplant.activations.parts import is_joined
from transplant.activations.places import Place, find_place
from transplant.activations.staging import lock, reserve, staged, storage_errors
from transplant.errors import InputError, NotFoundError, ShapeError

_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
SYNC_BYTES = 2**24  # go to the disk as they come: the commit after them waits for the rest alone


class ActivationWriter:
    """Rows into one file; made by `create` or `resume`, closed by `close` or at the end of `with`.

    It holds a lock on the file; readers do not mind it.
    """

    def __init__(self, path: Path, handle: int, file: h5py.File) -> None:
        self.path, self._handle = path, handle
        header = read_header(file)
        self.dtype = header.dtype
        checked = check_content(file, header) is not None
        self._places = {tap: find_place(file, tap, checked=checked) for tap in header.taps}
        self._first_row = dataset(file, "windows/first_row")[...]
        self._document = dataset(file, "windows/document")[...]
        self._committed_at: int = dataset(file, "committed").id.get_offset()
        self.rows = len(dataset(file, "ids"))
        self.committed = read_committed(file)
        self._unsynced = 0

    @classmethod
    def create(cls, path: Path, header: CaptureHeader, tokens: TokenTable) -> ActivationWriter:
        """Make the whole file, with room for every row.

        Raises:
            ExistsError: something is at `path`.
            StorageError: the disk has not enough room, or refused; nothing is left behind.
        """
        with staged(path, built_size(header, tokens)) as (temporary, handle):
            build(temporary, header, tokens)
            reserve(handle)
            with open_file(temporary) as file:
                return cls(path, handle, file)

    @classmethod
    def resume(cls, path: Path, header: CaptureHeader, tokens: TokenTable) -> ActivationWriter:
        """Continue a file at its row `committed`.

        Raises:
            NotFoundError: there is none.
            CorruptError: it is cut short, or is something else.
            InputError: it was begun with another header or other tokens; names what differs.
            StorageError: another process writes it.
        """
        open_file(path).close()
        with storage_errors(path):
            handle = os.open(path, os.O_RDWR)
        try:
            lock(handle, path)
            with open_file(path) as file:
                _check_header(path, file, header)
                _check_tokens(path, file, tokens)
                with damage_named(path):
                    return cls(path, handle, file)
        except BaseException:
            os.close(handle)
            raise

    def write(self, tap: str, row: int, values: np.ndarray) -> None:
        """Write rows `row` and following of one tap.

        Args:
            tap: its name.
            row: where the values go; not before `committed`.
            values: [n, width], C-contiguous, as stored: float32, float16, or uint16 for bf16.

        Raises:
            NotFoundError: no such tap.
            ShapeError: another width or type, or rows past the end.
            InputError: rows that are committed.
            NumericalError: NaN or infinity among the values; nothing of them is written.
            StorageError: the disk refused; what is committed stays.
        """
        place = self._check(tap, row, values)
        self.check_finite(tap, row, values)
        data = values.reshape(-1).view(np.uint8).data
        row_bytes = place.width * place.dtype.itemsize
        with storage_errors(self.path, len(data)):
            if place.sums is not None and len(values):
                sums = row_sums(values, tap, row).view(np.uint8).data
                self._put(sums, place.sums + 8 * row)
            while data:
                chunk, within = divmod(row, place.chunk_rows)
                taken = min(len(data), (place.chunk_rows - within) * row_bytes)
                self._put(data[:taken], place.offsets[chunk] + within * row_bytes)
                data, row = data[taken:], row + taken // row_bytes
            if self._unsynced >= SYNC_BYTES:
                self._sync()

    def check_finite(
        self, tap: str, row: int, values: np.ndarray, given: np.ndarray | None = None
    ) -> None:
        """Refuse values that are no numbers, by the first of them.

        Args:
            tap: the name of their tap.
            row: where in the file the first row would go.
            values: [n, width], as stored.
            given: the same rows before they were converted to the stored type, where known.

        Raises:
            NumericalError: names tap, document, position and value, and the types that hold more.
        """
        if all_finite(values, self.dtype):
            return
        n, column, value = first_of_no_value(values, self.dtype)
        before = None if given is None else float(given[n, column])
        place = place_of(row + n, self._first_row, self._document)
        raise not_finite(tap, self.dtype, place, column, value, before)

    def commit(self, rows: int) -> None:
        """Declare the first `rows` rows of every tap complete, once they are on the disk.

        Raises:
            InputError: fewer than are committed, or more than there are.
            StorageError: the disk refused; what was committed stays.
        """
        if not self.committed <= rows <= self.rows:
            raise InputError("commit", expected=f"{self.committed} to {self.rows}", found=rows)
        with storage_errors(self.path):
            self._sync()
            self._put(memoryview(rows.to_bytes(8, "little")), self._committed_at)
            if rows == self.rows:
                self._sync()
        self.committed = rows

    def close(self) -> None:
        """Let go of the file and its lock; what was not committed is written again by `resume`."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> ActivationWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, tap: str, row: int, values: np.ndarray) -> Place:
        place = self._places.get(tap)
        if place is None:
            raise NotFoundError(f"tap {tap!r}", expected=", ".join(self._places))
        n = len(values) if values.ndim else 0
        fits = (values.shape, values.dtype) == ((n, place.width), place.dtype)
        if not fits or not values.flags.c_contiguous:
            expected = f"{place.dtype} [n, {place.width}], C-contiguous"
            found = f"{values.dtype} {list(values.shape)}"
            raise ShapeError(f"tap {tap}", expected=expected, found=found)
        if row + n > self.rows:
            found = f"{row} to {row + n}"
            raise ShapeError(f"tap {tap}", expected=f"rows up to {self.rows}", found=found)
        if row < self.committed:
            raise InputError("committed rows stay", expected=f"row >= {self.committed}", found=row)
        return place

    def _put(self, data: memoryview, offset: int) -> None:
        while data:  # the system may write a part of what it was given
            written = os.pwrite(self._handle, data, offset)
            data, offset = data[written:], offset + written
            self._unsynced += written

    def _sync(self) -> None:
        _sync_data(self._handle)
        self._unsynced = 0


def _check_header(path: Path, file: h5py.File, now: CaptureHeader) -> None:
    with damage_named(path):
        then = read_header(file)
        joined = is_joined(file)
    for name in vars(now):
        if getattr(then, name) != getattr(now, name):
            raise _other(path, name, getattr(then, name), getattr(now, name))
    if joined:
        raise InputError(f"{path} is joined from parts", hint="`resume` the part that is open")


def _check_tokens(path: Path, file: h5py.File, tokens: TokenTable) -> None:
    for name, now in tokens.datasets().items():
        with damage_named(path):
            then = dataset(file, name)[...]
        if then.shape != now.shape:
            raise _other(path, name, f"{len(then)} entries", len(now))
        if len(differ := np.flatnonzero(then != now)):
            at = differ[0]
            raise _other(path, name, f"{then[at]} at {at}", now[at])


def _other(path: Path, name: str, then: object, now: object) -> InputError:
    hint = "`resume` with the options and the text of the first run, or another `out`"
    return InputError(f"{path} was begun with other {name}", expected=then, found=now, hint=hint)
