"""Rows of files that hold many documents: JSON, JSON lines, tables of text and Parquet.

A reader yields a `Row` for each: the text and where it stands, or the error of a row that cannot be
read while its neighbours can. It raises what concerns the file as a whole.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transplant.errors import CorpusError, foreign
from transplant.text.limits import LARGEST_BYTES, WHOLE_BYTES
from transplant.text.row_form import TEXT_COLUMNS, Row, RowForm, no_column, shown, too_large

BATCH = 1024  # rows of a table in memory at a time


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


def from_jsonl(path: Path, form: RowForm) -> Iterator[Row]:
    """Yields the text of each line, a string or an object; empty lines are passed over."""
    for number, raw in _lines(path):
        where = f"{path}:{number}"
        if raw.strip():
            try:
                row = form.row_of(_parsed(decode(raw, where), where), where)
            except CorpusError as error:
                row = error
            yield row


def from_json(path: Path, form: RowForm) -> Iterator[Row]:
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
        row = form.row_of(value, str(path))
        if isinstance(row, CorpusError):
            raise row
        yield row
        return
    for number, element in enumerate(value):
        yield form.row_of(element, f"{path}[{number}]")


def from_csv(path: Path, form: RowForm) -> Iterator[Row]:
    """Yields the text column of each row of a table with a header; `.tsv` has tabs in it."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    former = csv.field_size_limit(LARGEST_BYTES)  # of the process; its default is 128 KiB
    try:
        lines = (decode(raw, f"{path}:{number}") for number, raw in _lines(path))
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        with foreign(f"{path} is not readable as {path.suffix.lower()[1:]}", CorpusError):
            header = next(reader, None)
            names = header or []
            if header is not None:
                _check_columns(names, path, form)
            for fields in reader:
                where = f"{path}:{reader.line_num}"
                if fields and len(fields) != len(header or ()):
                    yield CorpusError(
                        f"{where} is no row of this table",
                        expected=f"{len(header or ())} fields", found=len(fields),
                    )  # fmt: skip
                elif fields:
                    yield form.row_of(dict(zip(names, fields, strict=True)), where)
    finally:
        csv.field_size_limit(former)


def from_parquet(path: Path, form: RowForm) -> Iterator[Row]:
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
        _check_columns(names, path, form)
        columns = [name for name in form.columns if name in names]
        for batch in file.iter_batches(batch_size=BATCH, columns=columns):
            for row in batch.to_pylist():
                yield form.row_of(row, f"{path}:{number}")
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


def _read_text(path: Path) -> str:
    return decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), str(path))


def _check_columns(names: Sequence[str], path: Path, form: RowForm) -> None:
    """Refuses a table that has no text column, or one twice."""
    for name in form.columns:
        if names.count(name) > 1:
            raise CorpusError(f"{path} has the column {name!r} {names.count(name)} times")
    if not any(name in names for name in form.columns):
        raise no_column(f"{path} has no text column", form, f"the columns {shown(names)}")


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
