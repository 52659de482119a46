"""Reading every kind of source, and refusing what is not text."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from transplant.errors import CorpusError, InputError
from transplant.text.documents import TEXT_COLUMNS, Document, read_documents


def texts_of(source: Path, **options: int) -> list[str]:
    return [document.text for document in read_documents(str(source), **options)]


def write_jsonl(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_a_text_file_is_one_document(tmp_path: Path, tiny_texts: tuple[str, ...]) -> None:
    path = tmp_path / "one.txt"
    path.write_text(tiny_texts[0], "utf-8")
    assert read_documents(str(path)) == [Document(tiny_texts[0], str(path))]


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "notepad.txt"
    path.write_bytes(b"\xef\xbb\xbfhello")
    assert texts_of(path) == ["hello"]


def test_a_folder_is_read_in_name_order_without_hidden_files(
    tmp_path: Path, tiny_texts: tuple[str, ...]
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b.txt").write_text(tiny_texts[1], "utf-8")
    (tmp_path / "a.md").write_text(tiny_texts[0], "utf-8")
    (tmp_path / "sub" / "c.py").write_text(tiny_texts[2], "utf-8")
    (tmp_path / ".git" / "config").write_text(tiny_texts[3], "utf-8")
    (tmp_path / "empty.txt").write_text("")
    write_jsonl(tmp_path / "d.jsonl", [{"text": tiny_texts[4]}, {"text": tiny_texts[5]}])
    assert texts_of(tmp_path) == [tiny_texts[i] for i in (0, 1, 4, 5, 2)]


@pytest.mark.parametrize("column", TEXT_COLUMNS)
def test_jsonl_rows_give_their_text_column(
    tmp_path: Path, tiny_texts: tuple[str, ...], column: str
) -> None:
    rows = [{"id": number, column: text} for number, text in enumerate(tiny_texts[:3])]
    assert texts_of(write_jsonl(tmp_path / "rows.jsonl", rows)) == list(tiny_texts[:3])


def test_jsonl_rows_may_be_plain_strings_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'"one text"\r\n\r\n"another one"')
    assert texts_of(path) == ["one text", "another one"]


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\u000c", "\r"])
def test_jsonl_lines_end_at_line_feeds_only(tmp_path: Path, separator: str) -> None:
    text = f"before{separator}after"
    assert texts_of(write_jsonl(tmp_path / "rows.jsonl", [text])) == [text]


def test_parquet_rows_are_documents(tmp_path: Path, tiny_texts: tuple[str, ...]) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"id": [0, 1], "content": list(tiny_texts[:2])}), path)
    documents = read_documents(str(path))
    assert [document.text for document in documents] == list(tiny_texts[:2])
    assert [document.source for document in documents] == [f"{path}:0", f"{path}:1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("latin.txt", "café".encode("latin-1"), "byte 3 that is not"),
        ("image.txt", b"\x89PNG\r\n\x1a\n", "byte 0 that is not"),
        ("image.png", b"\x89PNG\r\n\x1a\n", r"image\.png is not understood"),
        ("nulls.txt", b"text\0text", "null bytes"),
        ("nulls.jsonl", b'"text\0"', "null bytes"),
        ("late.txt", b"x" * 5000 + b"\0", "null bytes"),
        ("broken.jsonl", b'"fine"\n{"text": \n', r"broken\.jsonl:2 is not JSON"),
        ("number.jsonl", b"7\n", r"number\.jsonl:1 has no text"),
        ("other.jsonl", b'{"body": "x"}\n', r"other\.jsonl:1 has no text"),
        ("half.jsonl", b'"\\ud83d"\n', "half of a surrogate pair"),
        ("broken.parquet", b"PAR1 and no more", "not readable as parquet"),
        ("empty.txt", b"", "is empty"),
        ("blank.txt", b" \n\t\n", "is empty"),
        ("empty.jsonl", b"", "is empty"),
    ],
)
@pytest.mark.parametrize("inside_a_folder", [False, True])
def test_what_is_not_text_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes, message: str, inside_a_folder: bool
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read_documents(str(folder if inside_a_folder else folder / name))


@pytest.mark.parametrize("name", ["missing.txt", "missing/", "no/such/folder", "./missing"])
def test_a_missing_path_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError, match=r"missing|no/such"):
        read_documents(f"{tmp_path}/{name}")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is empty"):
        read_documents(str(tmp_path))


def test_a_bare_name_that_is_no_file_is_asked_of_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match="no-such-corpus.* no file, no folder, and `datasets`"):
        read_documents("no-such-corpus")


def test_max_chars_stops_at_a_document(tmp_path: Path, tiny_texts: tuple[str, ...]) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", list(tiny_texts))
    assert texts_of(path, max_chars=len(tiny_texts[0]) + 1) == list(tiny_texts[:2])
    assert texts_of(path, max_chars=1) == list(tiny_texts[:1])
    with pytest.raises(InputError, match="max_chars"):
        read_documents(str(path), max_chars=0)


def test_reading_drops_a_near_duplicate(tmp_path: Path, tiny_texts: tuple[str, ...]) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [*tiny_texts[:2], tiny_texts[0] + " More."])
    assert texts_of(path) == list(tiny_texts[:2])


def test_a_digest_is_of_the_text_alone() -> None:
    assert Document("x", "here").digest == Document("x", "there").digest
    assert Document("x", "here").digest != Document("y", "here").digest


def test_a_file_that_may_not_be_read_is_a_named_error(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("some text that nobody may read")

    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(CorpusError, match="Permission denied"):
        read_documents(str(tmp_path / "a.txt"))
