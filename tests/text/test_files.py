"""Which files of a corpus are read, how, and what is refused by name."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from transplant.errors import CorpusError
from transplant.text import limits
from transplant.text.documents import read_corpus, read_documents
from transplant.text.files import READERS, list_files


def write_as(path: Path, texts: tuple[str, ...]) -> Path:
    """The texts in the form that the file's suffix stands for."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        parquet.write_table(pa.table({"text": list(texts)}), path)
    elif suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    elif suffix == ".json":
        path.write_text(json.dumps([*texts]))
    elif suffix in (".csv", ".tsv"):
        mark = "," if suffix == ".csv" else "\t"
        path.write_text(
            "".join(f'{n}{mark}"{t}"\r\n' for n, t in (("id", "text"), *enumerate(texts)))
        )
    elif suffix == ".pgn":
        path.write_text("1. e4 e5 2. Nf3 Nc6 1-0\n\n1. d4 d5 2. c4 e6 0-1\n")
    else:
        path.write_text(texts[0])
    return path


def refuse(error: CorpusError) -> None:
    raise error


def texts_of(path: Path) -> list[str]:
    return [document.text for document in read_documents(str(path))]


@pytest.mark.parametrize("inside_a_folder", [False, True])
@pytest.mark.parametrize(
    "suffix",
    ["jsonl", "ndjson", "json", "csv", "tsv", "parquet", "pgn", "txt", "py", "md", "rs", "tex"],
)
def test_a_suffix_means_the_same_in_any_case(
    tmp_path: Path, tiny_texts: tuple[str, ...], suffix: str, inside_a_folder: bool
) -> None:
    found = []
    for cased in (suffix, suffix.upper(), suffix.title()):
        folder = tmp_path / cased
        folder.mkdir()
        path = write_as(folder / f"data.{cased}", tiny_texts[:2])
        found.append(texts_of(folder if inside_a_folder else path))
    assert found[0] == found[1] == found[2]
    if suffix in ("jsonl", "ndjson", "json", "csv", "tsv", "parquet"):
        assert found[0] == list(tiny_texts[:2])


UNKNOWN = [
    "a.pdf", "a.DOCX", "a.jsonl.gz", "a.zip", "a.tar", "a.xlsx", "a.arrow", "a.png", "a.bin",
    "a.yaml", "a.xml", "a.ipynb", "a.h5", "a.safetensors", "a.xyz", "a.txt.bak", "a.1",
]  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_understood_is_named_with_what_is(
    tmp_path: Path, tiny_texts: tuple[str, ...], name: str
) -> None:
    (tmp_path / name).write_text(tiny_texts[0])  # its content would pass as prose
    (tmp_path / "b.txt").write_text(tiny_texts[1])
    for source in (tmp_path / name, tmp_path):
        with pytest.raises(CorpusError, match="is not understood") as caught:
            read_documents(str(source))
        assert str(tmp_path / name) in str(caught.value)
        assert ".parquet" in str(caught.value.expected)
    left = read_corpus(str(tmp_path), skip_bad=True)
    assert [document.text for document in left.documents] == [tiny_texts[1]]
    assert len(left.skipped) == 1
    assert name in left.skipped[0]


def test_files_without_a_suffix_are_text_if_their_bytes_are(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("read this, and then the rest")
    assert texts_of(tmp_path) == texts_of(tmp_path / "README")
    (tmp_path / "program").write_bytes(b"\x7fELF\0\0")
    with pytest.raises(CorpusError, match="program is not text.*null bytes.*skip_bad"):
        read_documents(str(tmp_path))


def test_names_are_looked_at_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\0")
    (tmp_path / "z.pdf").write_bytes(b"%PDF")
    with pytest.raises(CorpusError, match=r"z\.pdf is not understood"):
        read_documents(str(tmp_path))


BAD = {
    "nul.txt": b"some\0text",
    "latin.md": "caf\u00e9".encode("latin-1"),
    "broken.parquet": b"PAR1 and no more",
    "deep.json": b"[" * 100_000 + b"]" * 100_000,
    "none.csv": b"id,label\n1,2\n",
    "open.pgn": b"1. e4 { no end",
    "cut.json": b'["one", "tw',
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_file_is_named_and_can_be_left_out_whole(
    tmp_path: Path, tiny_texts: tuple[str, ...], name: str
) -> None:
    (tmp_path / "good.txt").write_text(tiny_texts[0])
    (tmp_path / name).write_bytes(BAD[name])
    with pytest.raises(CorpusError, match="`skip_bad` leaves it out") as caught:
        read_documents(str(tmp_path))
    assert str(tmp_path / name) in str(caught.value)
    left = read_corpus(str(tmp_path), skip_bad=True)
    assert [document.text for document in left.documents] == [tiny_texts[0]]
    assert [name in line for line in left.skipped] == [True]
    with pytest.raises(CorpusError, match=name) as caught:  # alone there is nothing to leave
        read_corpus(str(tmp_path / name), skip_bad=True)
    assert "skip_bad" not in str(caught.value.hint)


def test_a_game_before_a_broken_one_is_left_out_with_its_file(tmp_path: Path) -> None:
    good = "1. e4 e5 2. Nf3 Nc6 1-0\n\n"
    (tmp_path / "a.pgn").write_text(good + "1. d4 { no end")
    (tmp_path / "b.pgn").write_text("1. c4 e5 2. Nc3 Nf6 0-1\n")
    left = read_corpus(str(tmp_path), skip_bad=True)
    assert [document.text for document in left.documents] == ["1. c4 e5 2. Nc3 Nf6 0-1"]


def test_what_is_no_file_is_named(tmp_path: Path, tiny_texts: tuple[str, ...]) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "good.txt").write_text(tiny_texts[0])
    os.mkfifo(folder / "pipe.txt")
    (folder / "lost.txt").symlink_to(folder / "gone")
    (folder / "self.txt").symlink_to(folder / "self.txt")
    (folder / "null.txt").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(folder / "socket.txt"))
        for name, kind in (
            ("pipe.txt", "fifo"), ("lost.txt", "nowhere"), ("self.txt", "nowhere"),
            ("null.txt", "device"), ("socket.txt", "socket"),
        ):  # fmt: skip
            with pytest.raises(CorpusError, match=f"{name} cannot be read.*{kind}"):
                read_documents(str(folder / name))
        left = read_corpus(str(folder), skip_bad=True)
    assert [document.text for document in left.documents] == [tiny_texts[0]]
    assert len(left.skipped) == 5


def test_linked_folders_are_read_once_and_loops_end(
    tmp_path: Path, tiny_texts: tuple[str, ...]
) -> None:
    folder, other = tmp_path / "corpus", tmp_path / "other"
    (folder / "sub").mkdir(parents=True)
    other.mkdir()
    (folder / "sub" / "a.txt").write_text(tiny_texts[0])
    (other / "b.txt").write_text(tiny_texts[1])
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "copy").symlink_to(folder / "sub")
    (folder / "linked").symlink_to(other)
    (other / "back").symlink_to(folder)
    assert list_files(folder, refuse) == [folder / "linked" / "b.txt", folder / "sub" / "a.txt"]
    assert texts_of(folder) == [tiny_texts[1], tiny_texts[0]]


def test_hidden_names_and_compiled_python_are_passed_over(
    tmp_path: Path, tiny_texts: tuple[str, ...]
) -> None:
    for name in (".git/config", ".hidden.pdf", "__pycache__/a.cpython-311.pyc", "sub/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(tiny_texts[0])
    assert list_files(tmp_path, refuse) == [tmp_path / "sub" / "a.py"]


@pytest.mark.parametrize("cause", [PermissionError(13, "Permission denied"), RuntimeError("odd")])
def test_whatever_a_reader_raises_gets_the_name_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: Exception
) -> None:
    def broken(_path: Path, _form: object):
        raise cause
        yield

    (tmp_path / "a.txt").write_text("some text")
    (tmp_path / "b.md").write_text("some other text that is read")
    monkeypatch.setitem(READERS, ".txt", broken)
    for source in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(CorpusError, match=r"a\.txt cannot be read") as caught:
            read_documents(str(source))
        assert str(cause.args[-1]) in str(caught.value)
    assert len(read_corpus(str(tmp_path), skip_bad=True).documents) == 1


def test_a_folder_that_may_not_be_listed_is_a_named_error(
    tmp_path: Path, tiny_texts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir, closed = os.scandir, tmp_path / "closed"

    def scan(path: Path):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    closed.mkdir()
    (tmp_path / "open.txt").write_text(tiny_texts[0])
    monkeypatch.setattr("os.scandir", scan)
    for source in (closed, tmp_path):
        with pytest.raises(CorpusError, match="Permission denied"):
            read_documents(str(source))
    left = read_corpus(str(tmp_path), skip_bad=True)
    assert [document.text for document in left.documents] == [tiny_texts[0]]
    assert str(closed) in left.skipped[0]


@pytest.mark.parametrize(
    "source", ["", "  ", "a\0b", "~nobody-has-this-name/x", "x" * 5000, "\ud800"]
)
def test_an_odd_name_of_a_corpus_is_a_named_error(source: str) -> None:
    with pytest.raises(CorpusError):
        read_documents(source)


def test_a_corpus_of_many_bytes_is_read_as_a_stream(
    tmp_path: Path, tiny_texts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(f"{n} {tiny_texts[n % 60][n:]}") + "\n" for n in range(300)))
    whole = read_corpus(str(path), stream_chars=1000)
    assert whole.reach is None  # 0.2 MB are finite
    monkeypatch.setattr(limits, "WHOLE_BYTES", 10_000)
    for source in (path, tmp_path):
        part = read_corpus(str(source), stream_chars=1000)
        assert part.reach == 1000
        assert part.documents == whole.documents[: len(part.documents)]
        assert 0 < len(part.documents) < len(whole.documents)
