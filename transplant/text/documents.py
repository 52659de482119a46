"""Corpora: what is read of a source, as documents without near-duplicates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from transplant.errors import CorpusError, InputError, foreign
from transplant.progress import Progress, Reporter, SilentReporter, unseen
from transplant.text import builtin, limits
from transplant.text.document import Corpus, Document
from transplant.text.files import check_file, list_files, read_file
from transplant.text.hub import from_datasets
from transplant.text.kept import KeptCorpus, distinct
from transplant.text.place import SOURCES_HINT, check_is_data_set, path_of
from transplant.text.row_form import TEXT_COLUMNS, ChatTemplate, Row, RowForm
from transplant.text.several import join_corpora, names_of

__all__ = ["TEXT_COLUMNS", "Corpus", "Document", "read_corpus", "read_documents"]

LEAVE_OUT = "`skip_bad` leaves it out"
ROWS_A_REPORT = 100


@dataclass
class _Source:
    """A source while it is read."""

    name: str
    skip_bad: bool
    form: RowForm
    progress: Progress = unseen
    skipped: list[str] = field(default_factory=list)
    is_stream: bool = False
    size: int = 0
    """Bytes of a file that holds many rows."""

    def leave_out(self, error: CorpusError) -> None:
        """Notes a file or row that is left out, or refuses it."""
        if not self.skip_bad:
            hint = f"{error.hint}; {LEAVE_OUT}" if error.hint else LEAVE_OUT
            raise CorpusError(
                error.what, expected=error.expected, found=error.found, hint=hint
            ) from error
        # A file's name may hold bytes that no manifest can.
        self.skipped.append(str(error).encode("utf-8", "backslashreplace").decode())


def read_documents(source: str, *, max_chars: int | None = None) -> list[Document]:
    """The documents that `read_corpus` reads, and none of its facts.

    Raises:
        CorpusError: as `read_corpus` does.
    """
    return read_corpus(source, max_chars=max_chars).documents


def read_corpus(
    source: str,
    *,
    max_chars: int | None = None,
    stream_chars: int | None = None,
    skip_bad: bool = False,
    text_column: str | None = None,
    template: ChatTemplate | None = None,
    reporter: Reporter | None = None,
) -> Corpus:
    """Reads a corpus and drops its near-duplicates, and texts that a longer one contains.

    The built-in corpora keep the few that are contained: results were recorded on their splits.

    What was read of a built-in corpus is kept, as `transplant.text.cache` tells; the documents are
    the same with and without.

    A data set, which may have no end, and files of more than `WHOLE_BYTES` are streams: no more of
    them is read than budgets need. They are read from their beginning and not shuffled, so that a
    document is on the same side of a split however far they are read. Reading ends after
    `stream_chars` characters that are at least `LEAST_DOCUMENTS` documents, at the latest after
    `STRETCH` times as many characters, or a row for each `ROW_CHARS` of them.

    Args:
        source: `prose`, `prose2`, `python` or `python-packages` (rebuilt from what is installed), a
            folder, a file, or a data set for the `datasets` package (`NAME:config:split`, both
            parts optional). A text or source file is one document, as is each game of a `.pgn` file
            (its movetext alone), each line of a `.jsonl` file, each element of a `.json` list, and
            each row of a `.csv`, `.tsv` or `.parquet` table.
            In a folder all files are read but hidden ones and `__pycache__`.
            Several sources have commas between them, and share budgets of tokens equally.
        max_chars: stop after this many characters, of each source; the built-in corpora are visited
            in the order of their hashed paths, so a smaller corpus is a sample of the larger one.
        stream_chars: how far a stream is read; `limits.stream_chars` gives it for budgets, None
            for the default ones.
        skip_bad: leave out files of a folder, and rows of a file or a data set, that cannot be
            read; else the first one is refused by name.
        text_column: the column of rows that is read; None for the first of `TEXT_COLUMNS`, else of
            chats (`messages`, `conversations`) or questions with answers (`instruction` and
            `output`, `prompt` and `completion`).
        template: what makes text of these.
        reporter: is told how far it is read.

    Raises:
        CorpusError: nothing there, something that cannot be read, or no text left.
        InputError: `max_chars` is not positive.
    """
    if max_chars is not None and max_chars <= 0:
        raise InputError("`max_chars`", expected="1 or more", found=max_chars)
    reporter = reporter or SilentReporter()
    reach = stream_chars or limits.STREAM_CHARS
    names = names_of(source)
    read = {  # what may not be there first
        name: _read(
            _Source(name, skip_bad, RowForm(text_column, template)), max_chars, reach, reporter
        )
        for name in sorted(names, key=builtin.BUILTIN.__contains__)
    }

    # Recorded results name the fingerprints of the built-in corpora as they were.
    contained = not builtin.BUILTIN.keys() >= {*names}

    def keep(documents: list[Document]) -> list[Document]:
        with reporter.progress(f"comparing the documents of {source}") as progress:
            texts, digests = [d.identity for d in documents], [d.digest for d in documents]
            kept = distinct(texts, digests, reporter.note, progress, contained=contained)
            return [documents[n] for n in kept]

    if len(names) > 1:
        return join_corpora({name: read[name] for name in names}, keep)
    return replace(read[source], documents=keep(read[source].documents))


def _read(reading: _Source, max_chars: int | None, reach: int, reporter: Reporter) -> Corpus:
    """One source, near-duplicates too."""
    source = reading.name
    with (
        foreign(f"cannot read corpus {source!r}", CorpusError),
        reporter.progress(f"reading {source}") as reading.progress,
    ):
        if source in builtin.BUILTIN:
            taken, stopped = _take_builtin(reading, max_chars, reporter), False
        else:
            taken, stopped = _take(reading, max_chars, reach)
    if not taken:
        raise CorpusError(
            f"corpus {source!r} is empty", hint=f"give {SOURCES_HINT}",
            found=f"{len(reading.skipped)} that cannot be read" if reading.skipped else None,
        )  # fmt: skip
    chats = any(document.plain is not None for document in taken)
    return Corpus(
        taken, tuple(reading.skipped), reach if stopped else None, tuple(reading.form.used),
        reading.form.template if chats else None,
    )  # fmt: skip


def _take_builtin(reading: _Source, max_chars: int | None, reporter: Reporter) -> list[Document]:
    """The documents of a built-in corpus: as they are kept, or read and then kept."""
    kept = KeptCorpus.find(reading.name, reporter.note)
    rows = kept.recall(max_chars) if kept is not None else None
    if rows is not None:
        return [Document(*row) for row in rows]
    taken, _ = _take(reading, max_chars, 0)
    if kept is not None:
        whole = max_chars is None or sum(len(document.text) for document in taken) < max_chars
        kept.keep([(document.text, document.source) for document in taken], whole=whole)
    return taken


def _take(reading: _Source, max_chars: int | None, reach: int) -> tuple[list[Document], bool]:
    """The documents that have text, and whether a stream was left before its end."""
    taken: list[Document] = []
    total = 0
    for number, row in enumerate(_iterate(reading), start=1):
        if number % ROWS_A_REPORT == 0 and (reading.is_stream or reading.size):
            goal = reach if reading.is_stream else reading.size
            # At its end it would only be when no more documents are needed either.
            reading.progress(min(total, goal - 1), goal, f"{len(taken):,} documents")
        if isinstance(row, CorpusError):
            reading.leave_out(row)
        elif row[0].strip():
            taken.append(Document(*row))
            total += len(row[0])
            if max_chars is not None and total >= max_chars:
                break
        if reading.is_stream and limits.is_enough(total, len(taken), number, reach):
            return taken, True
    return taken, False


def _iterate(reading: _Source) -> Iterator[Row]:
    source = reading.name
    if source in builtin.BUILTIN:
        for name, text in builtin.BUILTIN[source](reading.progress):
            yield text, name
        return
    path = path_of(source)
    if path.is_dir():
        yield from _from_folder(path, reading)
    elif os.path.lexists(path):
        reading.size = check_file(path)
        reading.is_stream = reading.size > limits.WHOLE_BYTES
        with foreign(f"{path} cannot be read", CorpusError):
            yield from read_file(path, reading.form)
    else:
        check_is_data_set(source)
        reading.is_stream = True
        yield from from_datasets(source, reading.form, SOURCES_HINT)


def _from_folder(folder: Path, reading: _Source) -> Iterator[Row]:
    """The rows of all files, after all their names have been looked at."""
    sizes: dict[Path, int] = {}
    for path in list_files(folder, reading.leave_out):
        try:
            sizes[path] = check_file(path)
        except CorpusError as error:
            reading.leave_out(error)
    reading.is_stream = sum(sizes.values()) > limits.WHOLE_BYTES
    for number, (path, size) in enumerate(sizes.items()):
        reading.progress(number, len(sizes), "")
        yield from _from_file_of_folder(path, size, reading)


def _from_file_of_folder(path: Path, size: int, reading: _Source) -> Iterator[Row]:
    """A file that breaks off is left out whole, unless it is too large to be held back."""
    try:
        with foreign(f"{path} cannot be read", CorpusError):
            rows = read_file(path, reading.form)
            yield from rows if size > limits.WHOLE_BYTES else list(rows)
    except CorpusError as error:
        reading.leave_out(error)
