"""Reading activations: rows of a tap, and what those rows are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from transplant.activations.hdf5 import (
    AGAIN,
    damage_named,
    dataset,
    open_file,
    read_committed,
    read_header,
)
from transplant.activations.layout import DIGEST, SHARE, check_column, check_windows
from transplant.backbones.identity import difference
from transplant.errors import CorruptError, InputError, NotFoundError
from transplant.library import Fingerprints


@dataclass(frozen=True)
class TokenRows:
    """What some rows are; each int64 [n]."""

    ids: Tensor
    """The token that was read last."""
    labels: Tensor
    """The token that comes next."""
    ends: Tensor
    """The character of the document up to which the row has read."""
    windows: Tensor
    """The number of the row's window in the file."""


class Activations:
    """A file of captured activations, open for reading.

    Attributes:
        path: the file.
        header: what was captured.
        rows: how many rows the capture has when complete.
        committed: how many leading rows are complete; no others are read.
        windows: the number of windows.
        documents: the number of documents.
        first_row: int64 [windows + 1], where the rows of each window begin.
        document: int32 [windows], the document of each window.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file
        self._datasets: dict[str, h5py.Dataset] = {}  # opening one takes longer than a read
        self.header = read_header(file)
        self.rows = len(dataset(file, "ids"))
        self.committed = read_committed(file)
        self.first_row: np.ndarray = dataset(file, "windows/first_row")[...]
        self.document: np.ndarray = dataset(file, "windows/document")[...]
        self.windows = len(self.document)
        self.documents = len(dataset(file, "documents/digest"))
        check_windows(self.first_row, self.document, self.rows, self.documents)
        for name in ("ids", "labels", "ends"):
            check_column(name, dataset(file, name), np.int32, self.rows)
        check_column("digest", dataset(file, "documents/digest"), DIGEST, self.documents)

    @classmethod
    def open(cls, path: Path | str, *, partial: bool = False) -> Activations:
        """Open a file; `partial` takes one whose capture has not come to its end.

        Raises:
            NotFoundError: there is none, or a part of a joined file is gone.
            CorruptError: it is cut short, or something else, or a part of it is another one.
            VersionError: a newer version of this tool wrote it.
            InputError: it is not complete, and `partial` is off.
        """
        path = Path(path)
        file = open_file(path)
        try:
            with damage_named(path):
                opened = cls(path, file)
            if not (opened.complete or partial):
                raise InputError(
                    f"{path} is not complete",
                    expected=f"{opened.rows} rows",
                    found=opened.committed,
                    hint="`capture(..., resume=True)`",
                )
            opened._check_parts()
        except BaseException:
            file.close()
            raise
        return opened

    @property
    def complete(self) -> bool:
        """Whether every row was captured."""
        return self.committed == self.rows

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """The sha256 of each document's text."""
        with damage_named(self.path):
            held = dataset(self._file, "documents/digest")[...]
            return tuple(digest.decode() for digest in held.tolist())

    def tap(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows [start, stop) of one tap: [n, width], in the type that they were stored in.

        Raises:
            NotFoundError: no such tap; the message lists those of the file.
            InputError: rows that are not committed.
        """
        if name not in self.header.taps:
            known = ", ".join(self.header.taps)
            raise NotFoundError(f"tap {name!r} of {self.path}", expected=f"one of {known}")
        bits = torch.from_numpy(self._read(f"taps/{name}", start, stop))
        return bits.view(torch.bfloat16) if self.header.dtype == "bf16" else bits

    def tokens(self, start: int = 0, stop: int | None = None) -> TokenRows:
        """What rows [start, stop) are.

        Raises:
            InputError: rows that are not committed.
        """
        ids, labels, ends = (
            torch.from_numpy(self._read(name, start, stop).astype(np.int64))
            for name in ("ids", "labels", "ends")
        )
        rows = np.arange(start, start + len(ids))
        windows = np.searchsorted(self.first_row, rows, side="right") - 1
        return TokenRows(ids, labels, ends, torch.from_numpy(windows))

    def rows_of_window(self, window: int) -> range:
        """The rows of one window."""
        self._check_number("window", window, self.windows)
        return range(int(self.first_row[window]), int(self.first_row[window + 1]))

    def rows_of_document(self, document: int) -> range:
        """The rows of one document: of all its windows, which lie together."""
        self._check_number("document", document, self.documents)
        first, last = np.searchsorted(self.document, [document, document + 1])
        return range(int(self.first_row[first]), int(self.first_row[last]))

    def batches(self, rows: int) -> Iterator[range]:
        """The committed rows, in consecutive ranges of `rows`; the last may be shorter."""
        if rows < 1:
            raise InputError("rows of a batch", expected="at least 1", found=rows)
        for start in range(0, self.committed, rows):
            yield range(start, min(start + rows, self.committed))

    def check_made_by(self, backbone: Fingerprints, name: str) -> None:
        """Refuse a backbone that is not the one captured.

        Args:
            backbone: it, or its record.
            name: what the user calls it.

        Raises:
            InputError: other weights, another tokenizer or configuration.
        """
        if differing := difference(self.header, backbone):
            what, held, given = differing
            raise InputError(
                f"{self.path} is of {self.header.backbone}; {name} has other {what}",
                expected=held[:12],
                found=given[:12],
                hint=f"`backbone={self.header.backbone!r}`, or {AGAIN}",
            )

    def check_holds(self, layers: Iterable[int]) -> None:
        """Refuse to be read where one of these layers, or single positions, were not captured.

        Raises:
            InputError: what is missing, and the command that captures it.
        """
        again = f"capture(backbone={self.header.backbone!r}, data={self.header.corpus!r}"
        if self.header.pool != "none":
            raise InputError(
                f"the rows of {self.path} are windows",
                expected="`pool='none'`",
                found=f"`pool={self.header.pool!r}`",
                hint=f"`{again}, out='FILE')`",
            )
        missing = sorted({*map(str, layers)} - set(self.header.taps))
        if missing:
            raise InputError(
                f"{self.path} lacks layers that are read: {', '.join(missing)}",
                found=list(self.header.taps),
                hint=f"`{again}, taps='all', out='FILE')`",
            )

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Activations:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, name: str, start: int, stop: int | None) -> np.ndarray:
        stop = self.committed if stop is None else stop
        if not 0 <= start <= stop <= self.committed:
            expected = f"0 to {self.committed}, ascending"
            raise InputError(f"rows of {self.path}", expected=expected, found=f"{start} to {stop}")
        with damage_named(self.path):
            if name not in self._datasets:
                self._datasets[name] = dataset(self._file, name)
            return self._datasets[name][start:stop]

    def _check_number(self, what: str, number: int, count: int) -> None:
        if not 0 <= number < count:
            raise InputError(f"{what} of {self.path}", expected=f"0 to {count - 1}", found=number)

    def _check_parts(self) -> None:
        """The parts of a joined file are those that were joined; HDF5 reads a lost one as zeros."""
        ids = dataset(self._file, "ids")
        if not ids.is_virtual:
            return
        folder, digests = self.path.resolve().parent, set(self.digests)
        own = {name: getattr(self.header, name) for name in SHARE}
        for source in ids.virtual_sources():
            place = folder / source.file_name.replace("%%", "%")
            if not place.exists():
                what = f"{place}, a part of {self.path}, is gone"
                raise NotFoundError(what, hint="put it back, or join the parts again")
            with Activations.open(place) as part:
                same = part.rows == source.vspace.get_select_npoints() and digests.issuperset(
                    part.digests
                )
                if not same or dataclasses.replace(part.header, **own) != self.header:
                    hint = "join the parts again"
                    raise CorruptError(f"{place} is not the part joined in {self.path}", hint=hint)
