"""Documents: the unit of text that is split, hashed and held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transplant.errors import CorpusError, InputError
from transplant.text import builtin
from transplant.text.dedup import drop_near_duplicates
from transplant.text.pgn import read_games

TEXT_COLUMNS = ("text", "content", "document")
SOURCES_HINT = (
    "a folder, a .txt, .jsonl, .parquet or .pgn file, a `datasets` id, `prose`, `prose2` or "
    "`python`"
)


@dataclass(frozen=True)
class Document:
    """One text, and where it came from."""

    text: str
    source: str

    @cached_property
    def digest(self) -> str:
        """The sha256 of the text: a document's identity, whatever its path."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


def read_documents(source: str, *, max_chars: int | None = None) -> list[Document]:
    """Reads a corpus and drops its near-duplicates.

    Args:
        source: `prose`, `prose2` or `python` (rebuilt from what is installed), a folder, a `.txt`,
            `.jsonl`, `.parquet` or `.pgn` file, or the id of a data set for the `datasets`
            package. Each chess game of a `.pgn` file is one document: its movetext alone.
        max_chars: stop after this many characters; the built-in corpora are visited in the order
            of their hashed paths, so a smaller corpus is a sample of the larger one.

    Raises:
        CorpusError: nothing there, nothing readable, or no text left.
    """
    if max_chars is not None and max_chars <= 0:
        raise InputError("max_chars must be positive", found=max_chars)
    try:
        taken = _take(_iterate(source), max_chars)
    except OSError as error:
        raise CorpusError(f"cannot read corpus {source!r}", found=str(error)) from error
    if not taken:
        raise CorpusError(f"corpus {source!r} is empty", hint=f"give {SOURCES_HINT}")
    kept = drop_near_duplicates([document.text for document in taken])
    return [taken[index] for index in kept]


def _take(documents: Iterator[Document], max_chars: int | None) -> list[Document]:
    taken: list[Document] = []
    total = 0
    for document in documents:
        if not document.text.strip():
            continue
        taken.append(document)
        total += len(document.text)
        if max_chars is not None and total >= max_chars:
            break
    return taken


def _iterate(source: str) -> Iterator[Document]:
    if source in builtin.BUILTIN:
        for name, text in builtin.BUILTIN[source]():
            yield Document(text, name)
        return
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _from_folder(path)
    elif path.is_file():
        yield from _from_file(path)
    elif source.count("/") <= 1 and not path.suffix and not source.startswith((".", "~", "/")):
        yield from _from_datasets(source)
    else:
        raise CorpusError(f"no such corpus: {source}", hint=f"give {SOURCES_HINT}")


def _from_folder(folder: Path) -> Iterator[Document]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and _looks_like_text(path):
            yield from _from_file(path)


def _looks_like_text(path: Path) -> bool:
    with path.open("rb") as handle:
        return path.suffix == ".parquet" or b"\0" not in handle.read(4096)


def _from_file(path: Path) -> Iterator[Document]:
    if path.suffix == ".jsonl":
        return _from_jsonl(path)
    if path.suffix == ".parquet":
        return _from_parquet(path)
    if path.suffix.lower() == ".pgn":  # old archives have it in capitals
        return (Document(text, f"{path}:{line}") for line, text in read_games(path))
    return iter([Document(_decode(path), str(path))])


def _decode(path: Path) -> str:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")  # a byte-order mark is no text
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not text", expected="UTF-8", found=f"byte {error.start} that is not"
        ) from error
    if "\0" in text:
        raise CorpusError(f"{path} is not text", expected="UTF-8 text", found="null bytes")
    return text


def _from_jsonl(path: Path) -> Iterator[Document]:
    for number, line in enumerate(_decode(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise CorpusError(f"{path}:{number} is not JSON", found=error.msg) from error
        yield Document(_text_of(row, f"{path}:{number}"), f"{path}:{number}")


def _text_of(row: object, where: str) -> str:
    if isinstance(row, dict):
        row = next((row[key] for key in TEXT_COLUMNS if isinstance(row.get(key), str)), None)
    if not isinstance(row, str):
        raise CorpusError(f"{where} has no text", expected=f"a string or a field of {TEXT_COLUMNS}")
    try:
        row.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape what no UTF-8 file can hold
        raise CorpusError(
            f"{where} is not text", expected="Unicode", found="half of a surrogate pair"
        ) from error
    return row


def _from_parquet(path: Path) -> Iterator[Document]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise CorpusError(
            f"{path} needs the package pyarrow", hint="pip install 'abi-transplant[data]'"
        ) from error
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    yield Document(_text_of(row, f"{path}:{number}"), f"{path}:{number}")
                    number += 1
    except pyarrow.ArrowException as error:
        raise CorpusError(f"{path} is not readable as parquet", found=error) from error


def _from_datasets(name: str) -> Iterator[Document]:
    try:
        import datasets
    except ImportError as error:
        raise CorpusError(
            f"no file or folder {name!r}, and reading it as a data set needs `datasets`",
            hint="pip install 'abi-transplant[data]'",
        ) from error
    try:
        rows: Iterable[object] = datasets.load_dataset(name, split="train", streaming=True)
        first_rows = iter(rows)
        for number, row in enumerate(first_rows):
            yield Document(_text_of(row, f"{name}[{number}]"), f"{name}[{number}]")
    except CorpusError:
        raise
    except Exception as error:
        raise CorpusError(
            f"corpus {name!r} is no file, no folder, and `datasets` cannot load it",
            found=f"{type(error).__name__}: {str(error).splitlines()[0][:160]}",
            hint=f"give {SOURCES_HINT}",
        ) from error
