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
    check_content,
    damage_named,
    open_file,
    read_committed,
    read_header,
)
from transplant.activations.layout import DIGEST, SHARE, check_column, check_windows
from transplant.activations.objects import dataset
from transplant.activations.parts import COLUMNS, Part, is_joined, parts_of, place_of_part
from transplant.activations.rows import OwnRows, PartRows, RowStore
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
        checked: whether the file, and each part of it, has checksums; those from before there
            were any are read without.
        content_sha256: the hash of attributes and tables, where there is one.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file
        self._parts: list[Activations] = []
        self.header = read_header(file)
        joined = is_joined(file)
        self.rows = len(dataset(file, "ids", virtual=joined))
        self.committed = read_committed(file)
        self.first_row: np.ndarray = dataset(file, "windows/first_row")[...]
        self.document: np.ndarray = dataset(file, "windows/document")[...]
        self.windows = len(self.document)
        self.documents = len(dataset(file, "documents/digest"))
        check_windows(self.first_row, self.document, self.rows, self.documents)
        for name in COLUMNS:
            check_column(name, dataset(file, name, virtual=joined), np.int32, self.rows)
        check_column("digest", dataset(file, "documents/digest"), DIGEST, self.documents)
        self.content_sha256 = check_content(file, self.header)
        self.checked = self.content_sha256 is not None
        self._listed = parts_of(file, self.header.taps) if joined else []
        self._store: RowStore = OwnRows(
            path, file, self.header, (self.first_row, self.document), checked=self.checked
        )

    @classmethod
    def open(cls, path: Path | str, *, partial: bool = False) -> Activations:
        """Open a file; `partial` takes one whose capture has not come to its end.

        Raises:
            NotFoundError: there is none, or a part of a joined file is gone.
            CorruptError: it is cut short, or something else, or a part of it is another one.
            VersionError: a newer version of this tool wrote it.
            InputError: it is not complete, and `partial` is off.
        """
        return cls._open(Path(path), partial=partial, above=())

    @classmethod
    def _open(cls, path: Path, *, partial: bool, above: tuple[Path, ...]) -> Activations:
        """`above`: the joined files that this one is a part of."""
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
            opened._open_parts(above)
        except BaseException:
            file.close()
            raise
        return opened

    @property
    def note(self) -> str | None:
        """What is to be said before the file is used; None where there is nothing."""
        if self.checked:
            return None
        return f"{self.path} has no checksums: an earlier version wrote it, damage is not noticed"

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
        bits = torch.from_numpy(self.raw(f"taps/{name}", start, stop))
        return bits.view(torch.bfloat16) if self.header.dtype == "bf16" else bits

    def tokens(self, start: int = 0, stop: int | None = None) -> TokenRows:
        """What rows [start, stop) are.

        Raises:
            InputError: rows that are not committed.
        """
        ids, labels, ends = (
            torch.from_numpy(self.raw(name, start, stop).astype(np.int64))
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

    def raw(self, name: str, start: int, stop: int | None) -> np.ndarray:
        """Rows [start, stop) of `taps/<name>`, `ids`, `labels` or `ends`, as stored.

        Raises:
            InputError: rows that are not committed.
            CorruptError: the file is damaged.
        """
        stop = self.committed if stop is None else stop
        if not 0 <= start <= stop <= self.committed:
            expected = f"0 to {self.committed}, ascending"
            raise InputError(f"rows of {self.path}", expected=expected, found=f"{start} to {stop}")
        return self._store.read(name, start, stop)

    def close(self) -> None:
        """Let go of the file."""
        for part in self._parts:
            part.close()
        self._file.close()

    def __enter__(self) -> Activations:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_number(self, what: str, number: int, count: int) -> None:
        if not 0 <= number < count:
            raise InputError(f"{what} of {self.path}", expected=f"0 to {count - 1}", found=number)

    def _open_parts(self, above: tuple[Path, ...]) -> None:
        """The parts of a joined file are those that were joined."""
        if not is_joined(self._file):
            return
        own = self.path.resolve()
        if own in above:
            raise CorruptError(f"{self.path} is a part of itself", hint="join the parts again")
        try:
            for listed in self._listed:
                self._parts.append(self._open_part(listed, (*above, own)))
        except BaseException:
            self.close()
            raise
        if sum(part.rows for part in self._parts) != self.rows:
            what = f"the parts of {self.path} have other rows"
            raise CorruptError(what, expected=self.rows, hint="join the parts again")
        self.checked = self.checked and all(part.checked for part in self._parts)
        self._store = PartRows(self._parts)

    def _open_part(self, listed: Part, above: tuple[Path, ...]) -> Activations:
        place = place_of_part(self.path, listed)
        if not place.exists():
            what = f"{place}, a part of {self.path}, is gone"
            raise NotFoundError(what, hint="put it back, or join the parts again")
        part = Activations._open(place, partial=False, above=above)
        own = {name: getattr(self.header, name) for name in SHARE}
        same = part.rows == listed.rows and set(self.digests).issuperset(part.digests)
        if listed.content_sha256 is not None:
            same = same and part.content_sha256 == listed.content_sha256
        if not same or dataclasses.replace(part.header, **own) != self.header:
            part.close()
            hint = "join the parts again"
            raise CorruptError(f"{place} is not the part joined in {self.path}", hint=hint)
        return part
