"""Rows of files that hold many documents: JSON, JSON lines, tables of text and Parquet.

A reader yields a `Row` for each: the text and where it stands, or the error of a row that cannot be
read while its neighbours can. It raises what concerns the file as a whole.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transplant.errors import CorpusError, foreign
from transplant.text.limits import LARGEST_BYTES, WHOLE_BYTES

TEXT_COLUMNS = ("text", "content", "document")
BATCH = 1024  # rows of a table in memory at a time
SHOWN = 120  # characters of foreign names in a message

Row = tuple[str, str] | CorpusError


def row_of(value: object, where: str) -> Row:
    """The text of one row, or why it has none."""
    try:
        return text_of(value, where), where
    except CorpusError as error:
        return error


def text_of(value: object, where: str) -> str:
    """The text of a string, or of the first of `TEXT_COLUMNS` that a mapping has.

    Raises:
        CorpusError: no text, or text that no UTF-8 file may hold.
    """
    if isinstance(value, Mapping):
        value = _column_of(value, where)
    if not isinstance(value, str):
        raise CorpusError(
            f"{where} has no text", expected=f"a string or a field of {TEXT_COLUMNS}",
            found=type(value).__name__,
        )  # fmt: skip
    if "\0" in value:
        raise CorpusError(f"{where} is not text", expected="UTF-8 text", found="null bytes")
    if len(value) > LARGEST_BYTES:
        raise too_large(where, len(value))
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape what no UTF-8 file can hold
        raise CorpusError(
            f"{where} is not text", expected="Unicode", found="half of a surrogate pair"
        ) from error
    return value


def _column_of(row: Mapping[Any, Any], where: str) -> object:
    for key in TEXT_COLUMNS:
        if row.get(key) is not None:
            if not isinstance(row[key], str):
                raise CorpusError(
                    f"{where} has no text", expected=f"a string in {key!r}",
                    found=type(row[key]).__name__,
                )  # fmt: skip
            return row[key]
    raise CorpusError(
        f"{where} has no text", expected=f"a string or a field of {TEXT_COLUMNS}",
        found=f"the fields {shown(row)}",
    )  # fmt: skip


def decode(raw: bytes, where: str) -> str:
    """Bytes as UTF-8 text.

    Raises:
        CorpusError: bytes that are not UTF-8, or null bytes.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{where} is not text", expected="UTF-8", found=f"byte {error.start} that is not"
        ) from error
    if "\0" in text:
        raise CorpusError(f"{where} is not text", expected="UTF-8 text", found="null bytes")
    return text


def from_jsonl(path: Path) -> Iterator[Row]:
    """Yields the text of each line, a string or an object; empty lines are passed over."""
    for number, raw in _lines(path):
        where = f"{path}:{number}"
        if raw.strip():
            try:
                row = row_of(_parsed(decode(raw, where), where), where)
            except CorpusError as error:
                row = error
            yield row


def from_json(path: Path) -> Iterator[Row]:
    """Yields the text of each element of a list, or of the one object that there is."""
    try:
        size = path.stat().st_size
        if size > WHOLE_BYTES:
            raise CorpusError(
                f"{path} is too large to be parsed at once",
                expected=f"at most {WHOLE_BYTES:,} bytes", found=f"{size:,}",
                hint="lines of JSON are read from a file whose name ends in .jsonl",
            )  # fmt: skip
        value = _parsed(_read_text(path), str(path))
    except CorpusError as error:
        if "Extra data" in str(error.found):
            error = CorpusError(
                error.what, expected="one list, or one object", found=error.found,
                hint="lines of JSON are read from a file whose name ends in .jsonl",
            )  # fmt: skip
        raise error from error.__cause__
    if not isinstance(value, list):
        yield text_of(value, str(path)), str(path)
        return
    for number, element in enumerate(value):
        yield row_of(element, f"{path}[{number}]")


def from_csv(path: Path) -> Iterator[Row]:
    """Yields the text column of each row of a table with a header; `.tsv` has tabs in it."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    former = csv.field_size_limit(LARGEST_BYTES)  # of the process; its default is 128 KiB
    try:
        lines = (decode(raw, f"{path}:{number}") for number, raw in _lines(path))
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        with foreign(f"{path} is not readable as {path.suffix.lower()[1:]}", CorpusError):
            header = next(reader, None)
            column = _find_column(header or [], path) if header is not None else 0
            for fields in reader:
                where = f"{path}:{reader.line_num}"
                if fields and len(fields) != len(header or ()):
                    yield CorpusError(
                        f"{where} is no row of this table",
                        expected=f"{len(header or ())} fields", found=len(fields),
                    )  # fmt: skip
                elif fields:
                    yield row_of(fields[column], where)
    finally:
        csv.field_size_limit(former)


def from_parquet(path: Path) -> Iterator[Row]:
    """Yields the text column of each row.

    Raises:
        CorpusError: no such column, a damaged file, or the package pyarrow is missing.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise CorpusError(
            f"{path} needs the package pyarrow", hint="pip install 'abi-transplant[data]'"
        ) from error
    number = 0
    with (
        foreign(f"{path} is not readable as parquet", CorpusError),
        parquet.ParquetFile(path) as file,
    ):
        names = file.schema_arrow.names
        _find_column(names, path)
        columns = [name for name in TEXT_COLUMNS if name in names]
        for batch in file.iter_batches(batch_size=BATCH, columns=columns):
            for row in batch.to_pylist():
                yield row_of(row, f"{path}:{number}")
                number += 1


def read_whole(path: Path) -> str:
    """The text of a file, without a byte-order mark, which is no text.

    Raises:
        CorpusError: it is not UTF-8, or larger than a document may be.
    """
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise too_large(str(path), size)
    return _read_text(path)


def too_large(where: str, size: int) -> CorpusError:
    """The error of one text whose tokens would not fit in memory."""
    return CorpusError(
        f"{where} is one text that is too large",
        expected=f"at most {LARGEST_BYTES:,} bytes", found=f"{size:,}", hint="cut it into several",
    )  # fmt: skip


def shown(names: Sequence[Any] | Mapping[Any, Any]) -> str:
    """Foreign names as they stand in a message: not longer than a line."""
    text = ", ".join(repr(str(name)[:40]) for name in list(names)[:8]) or "none"
    return text[:SHOWN]


def _read_text(path: Path) -> str:
    return decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), str(path))


def _find_column(names: Sequence[str], path: Path) -> int:
    """Where the text column stands among those of a table."""
    for name in TEXT_COLUMNS:
        if names.count(name) > 1:
            raise CorpusError(f"{path} has the column {name!r} {names.count(name)} times")
        if name in names:
            return names.index(name)
    raise CorpusError(
        f"{path} has no text column", expected=f"one of {TEXT_COLUMNS}",
        found=f"the columns {shown(names)}",
    )  # fmt: skip


def _parsed(text: str, where: str) -> object:
    with foreign(f"{where} is not JSON", CorpusError):
        return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = [name for name in TEXT_COLUMNS if names.count(name) > 1]
        if twice:
            raise ValueError(f"the key {twice[0]!r} stands twice in one object")
    return made


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields (number, line) as the file is read; lines end at line feeds only."""
    with path.open("rb") as handle:
        for number, line in enumerate(iter(lambda: handle.readline(LARGEST_BYTES + 1), b""), 1):
            if len(line) > LARGEST_BYTES:
                raise too_large(f"{path}:{number}", path.stat().st_size)
            yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
