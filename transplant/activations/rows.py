"""Rows as they lie in a file, or in the parts of a joined one; checked as they are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

from transplant.activations.checksums import row_sums
from transplant.activations.finite import all_finite, first_of_no_value, not_finite
from transplant.activations.hdf5 import AGAIN, damage_named
from transplant.activations.layout import CaptureHeader, place_of
from transplant.activations.objects import dataset
from transplant.errors import CorruptError


class RowStore(Protocol):
    """Where the rows of a file come from."""

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows [start, stop) of `taps/<name>` or of a column, as stored.

        Raises:
            CorruptError: the file is damaged.
        """
        ...


class OwnRows:
    """Rows in one file.

    Args:
        path: the file.
        file: the same, open.
        header: its header.
        windows: `first_row` and `document`, as `TokenTable` has them.
        checked: whether the file has checksums.
    """

    def __init__(
        self,
        path: Path,
        file: h5py.File,
        header: CaptureHeader,
        windows: tuple[np.ndarray, np.ndarray],
        *,
        checked: bool,
    ) -> None:
        self._path, self._file, self._dtype = path, file, header.dtype
        self._windows, self._checked = windows, checked
        self._datasets: dict[str, h5py.Dataset] = {}  # opening one takes longer than a read
        self._compared: dict[str, np.ndarray] = {}  # by tap: which rows had their checksums
        self._state: tuple[int, ...] = ()  # of the file, as these were compared

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows [start, stop), their checksums compared.

        They are compared once, and again where the file has been written to since.

        Raises:
            CorruptError: the file is damaged.
            NumericalError: NaN or infinity, in a file from before they were refused.
        """
        values = self._slice(name, start, stop)
        tap = name.removeprefix("taps/")
        if tap == name:
            return values  # a column: hashed as the file was opened
        if not self._checked:
            self._check_finite(tap, start, values)
            return values
        compared = self._compared_rows(tap)
        if compared[start:stop].all():
            return values
        held = self._slice(f"sums/{tap}", start, stop)
        wrong = np.flatnonzero(held != row_sums(values, tap, start))
        if len(wrong):
            place = place_of(start + int(wrong[0]), *self._windows)
            what = f"{self._path} is damaged: tap {tap} at {place} does not have its checksum"
            raise CorruptError(what, found=f"{len(wrong)} such rows of {len(held)}", hint=AGAIN)
        compared[start:stop] = True
        return values

    def _compared_rows(self, tap: str) -> np.ndarray:
        """Which rows of a tap have been compared, [rows]: none of a file that has changed."""
        # Of the file that is open: one of pairs has lost its name by now.
        found = os.fstat(self._file.id.get_vfd_handle())
        state = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if state != self._state:
            self._compared.clear()
            self._state = state
        if tap not in self._compared:
            self._compared[tap] = np.zeros(len(dataset(self._file, f"sums/{tap}")), dtype=bool)
        return self._compared[tap]

    def _slice(self, name: str, start: int, stop: int) -> np.ndarray:
        with damage_named(self._path):
            if name not in self._datasets:
                self._datasets[name] = dataset(self._file, name)
            return self._datasets[name][start:stop]

    def _check_finite(self, tap: str, start: int, values: np.ndarray) -> None:
        if not all_finite(values, self._dtype):
            row, column, value = first_of_no_value(values, self._dtype)
            place = f"{place_of(start + row, *self._windows)} of {self._path}"
            raise not_finite(tap, self._dtype, place, column, value, None)


class Part(Protocol):
    """A part of a joined file."""

    @property
    def rows(self) -> int:
        """The number of its rows."""
        ...

    def raw(self, name: str, start: int, stop: int) -> np.ndarray:
        """What `RowStore.read` gives."""
        ...


class PartRows:
    """Rows in the parts of a joined file, one part after the other."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows [start, stop), read from the parts that have them."""
        first, blocks = 0, list[np.ndarray]()
        for part in self._parts:
            low, high = max(start, first), min(stop, first + part.rows)
            if low < high or not blocks:
                low = min(max(low - first, 0), part.rows)
                blocks.append(part.raw(name, low, max(low, min(high - first, part.rows))))
            first += part.rows
        return np.concatenate(blocks)
