"""Layout of a file of captured activations.

    ids, labels, ends     int32 [rows]; a row is one token position, or one window where pooled
    windows/first_row     int64 [n_windows + 1]; window w has the rows first_row[w]:first_row[w + 1]
    windows/document      int32 [n_windows], ascending
    documents/digest      [n_documents], the sha256 of each text
    taps/<name>           [rows, width], the hidden states; bfloat16 as its 16 bits
    sums/<name>           uint64 [rows], the checksum of each row of a tap (`checksums`)
    committed             int64 [1], how many leading rows are complete

The attributes of the root are the fields of `CaptureHeader` (the widths are those of the taps), and
`content_sha256`, a hash over them and over all datasets but taps, sums and committed. A joined file
has no sums; its attribute `parts` lists the files that it reads. Version 1 had no checksums.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from transplant.errors import InputError, ShapeError

SCHEMA_VERSION = 2
STORED = {"bf16": np.dtype("<u2"), "fp16": np.dtype("<f2"), "fp32": np.dtype("<f4")}
POOLS = ("none", "mean", "last")
DIGEST = np.dtype("S64")  # sha256 in hex
SHARE = ("corpus_fingerprint", "made")  # in these fields, the parts of a joined file may differ


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
    config_sha256: str | None = None
    """The fingerprint of its configuration; None in files from before there was one."""
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

    @property
    def weights_sha256(self) -> str:
        """The fingerprint of its weights."""
        return self.backbone_sha256

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


def place_of(row: int, first_row: np.ndarray, document: np.ndarray) -> str:
    """Where a row of a file is in its text, in words.

    Args:
        row: its number.
        first_row: int64 [n_windows + 1], as in the file.
        document: int32 [n_windows], as in the file.
    """
    number = int(document[np.searchsorted(first_row, row, side="right") - 1])
    begin = int(first_row[np.searchsorted(document, number)])
    return f"document {number}, position {row - begin}"


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
