"""Rows of JSON, tables and Parquet: read, or named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from transplant.errors import CorpusError
from transplant.text import rows as readers
from transplant.text.documents import read_corpus, read_documents

GOOD = b'{"text": "a good row of text"}\n'


def texts_of(path: Path) -> list[str]:
    return [document.text for document in read_documents(str(path))]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b'{"text": "nul\\u0000inside"}', "null bytes"),
        (b'{"text": "nul\0inside"}', "null bytes"),
        (b'{"text": "half \\ud800 of a pair"}', "surrogate"),
        (b'{"text": 7}', "a string in 'text', found int"),
        (b'{"text": 7, "content": "not this one"}', "a string in 'text', found int"),
        (b'{"text": ["a"]}', "found list"),
        (b'{"text": null}', "found the fields 'text'"),
        (b'{"body": "x"}', "found the fields 'body'"),
        (b"{}", "found the fields none"),
        (b'{"text": "one", "text": "two"}', "stands twice"),
        (b"[" * 100_000 + b"]" * 100_000, "is not JSON.*RecursionError"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "is not JSON.*RecursionError"),
        (b'{"text": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"null", "found NoneType"),
        (b'"cut', "is not JSON"),
        (b'{"text": "caf\xe9"}', "byte 13 that is not"),
        (b"text without quotes", "is not JSON"),
    ],
)
def test_a_bad_line_is_named_and_can_be_left_out(tmp_path: Path, row: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + row + b"\n" + b'"another good row"\n')
    with pytest.raises(CorpusError, match=message) as caught:
        read_documents(str(path))
    assert str(caught.value).startswith(f"{path}:2 ")
    assert "skip_bad" in str(caught.value.hint)
    left = read_corpus(str(path), skip_bad=True)
    assert [d.text for d in left.documents] == ["a good row of text", "another good row"]
    assert [line.startswith(f"{path}:2 ") for line in left.skipped] == [True]


def test_lines_may_have_a_mark_returns_and_no_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "one text"}\r\n\r\n{"text": ""}\r\n"another"\r\n')
    assert texts_of(path) == ["one text", "another"]


def test_a_long_line_is_read_and_one_beyond_the_bound_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps("word " * 40_000) + "\n")
    assert len(texts_of(path)[0]) == 200_000
    monkeypatch.setattr(readers, "LARGEST_BYTES", 100_000)
    with pytest.raises(CorpusError, match=r"rows\.jsonl:1 is one text that is too large"):
        read_documents(str(path))
    whole = tmp_path / "whole.txt"
    whole.write_text("word " * 40_000)
    with pytest.raises(CorpusError, match=r"whole\.txt is one text that is too large"):
        read_documents(str(whole))


def test_json_that_is_too_large_to_parse_at_once_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(["word " * 100, "other " * 100]))
    assert len(texts_of(path)) == 2
    monkeypatch.setattr(readers, "WHOLE_BYTES", 1000)
    with pytest.raises(CorpusError, match=r"rows\.json is too large.*\.jsonl"):
        read_documents(str(path))


@pytest.mark.parametrize(
    "value",
    [["one text", "another"], [{"text": "one text"}, {"id": 1, "content": "another"}]],
)
def test_json_is_a_list_of_texts(tmp_path: Path, value: object) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(value, indent=1))
    assert texts_of(path) == ["one text", "another"]


def test_json_may_be_one_object_with_text(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_text('{"id": 1, "text": "one text"}')
    assert texts_of(path) == ["one text"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}', r"rows\.json has no text"),
        ('{"data": [{"text": "x"}]}', r"rows\.json has no text"),
        ("7", r"rows\.json has no text"),
        ('["x", 7]', r"rows\.json\[1\] has no text"),
        ('{"text": "x"}\n{"text": "y"}\n', r"is not JSON.*ends in \.jsonl"),
        ("plain words", "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_other_json_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)
    with pytest.raises(CorpusError, match=message):
        read_documents(str(path))


def test_a_table_gives_its_text_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    long = "word " * 40_000  # csv's own limit is 128 KiB
    limit = csv.field_size_limit()
    path.write_bytes(
        b'\xef\xbb\xbfid,text,label\r\n1,"two\r\nlines, with ""quotes""",a\r\n\r\n2,,b\r\n3,'
        + long.encode()
        + b",c\r\n"
    )
    assert texts_of(path) == ['two\r\nlines, with "quotes"', long]
    assert csv.field_size_limit() == limit
    path = tmp_path / "rows.tsv"
    path.write_text("content\tid\none, text\t1\nanother\t2\n")
    assert texts_of(path) == ["one, text", "another"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,label\n1,2\n", "no text column.*'id', 'label'"),
        (b"text;label\na;b\n", "no text column"),
        (b"just a sentence, of prose\nand another\n", "no text column"),
        (b"text,text\na,b\n", "the column 'text' 2 times"),
        (b'id,text\n1,"never closed\n2,b\n', "not readable as csv"),
        (b"id,text\n1,nul\0inside\n", "null bytes"),
        (b"id,text\n1,caf\xe9\n", "that is not"),
        (b"id,text\n1,a,too many\n", "expected 2 fields, found 3"),
        (b"id,text\n1\n", "expected 2 fields, found 1"),
        (b"", "is empty"),
        (b"id,text\n", "is empty"),
    ],
)
def test_other_tables_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read_documents(str(path))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": [1, 2]}, "no text column.*'id'"),
        ({"text": [1, 2]}, "a string in 'text', found int"),
        ({"text": ["fine", None]}, "rows.parquet:1 has no text"),
        ({"text": [b"raw", b"bytes"]}, "found bytes"),
        ({"text": ["nul\0inside"]}, "null bytes"),
    ],
)
def test_other_parquet_is_named(tmp_path: Path, table: dict, message: str) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table(table), path)
    with pytest.raises(CorpusError, match=message):
        read_documents(str(path))


def test_parquet_with_any_byte_flipped_is_read_or_named(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.parquet", tmp_path / "flipped.parquet"
    texts = [f"the text of row {n} of some" for n in range(20)]
    parquet.write_table(pa.table({"text": texts}), whole)
    raw = whole.read_bytes()
    named = 0
    for place in range(4, len(raw), 7):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :])
        try:
            read_documents(str(path))
        except CorpusError:
            named += 1
    assert named > 10
