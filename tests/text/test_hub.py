"""Data sets that stream in: read as far as budgets need, whatever their rows are."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import datasets
import pytest

from transplant.errors import CorpusError
from transplant.text.documents import read_corpus, read_documents
from transplant.text.limits import (
    LEAST_DOCUMENTS,
    MOST_STREAM_CHARS,
    ROW_CHARS,
    STREAM_CHARS,
    STRETCH,
    stream_chars,
)
from transplant.text.splits import split_documents

REACH = 100_000


class Endless:
    """Stands in for `datasets.load_dataset`, and counts what is read of it."""

    def __init__(self, row) -> None:
        self.row, self.rows = row, 0

    def __call__(self, *_, **options) -> Iterator[object]:
        assert options["streaming"]
        for number in itertools.count():
            self.rows += 1
            assert self.rows < 200_000, "read without end"
            yield self.row(number)


def words(number: int, count: int = 60) -> str:
    draw = random.Random(number)
    return " ".join(str(draw.randrange(10**6)) for _ in range(count))


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch):
    def install(row) -> Endless:
        source = Endless(row)
        monkeypatch.setattr(datasets, "load_dataset", source)
        return source

    return install


def test_an_endless_data_set_is_read_to_its_bound(endless) -> None:
    source = endless(lambda number: {"text": words(number)})
    corpus = read_corpus("endless", stream_chars=REACH)
    characters = sum(len(document.text) for document in corpus.documents)
    assert REACH <= characters < 1.1 * REACH
    assert source.rows == len(corpus.documents)
    assert corpus.reach == REACH


@pytest.mark.parametrize(
    "row", [{"text": ""}, {"text": " "}, "x", {"text": "always the same words in every row"}]
)
def test_rows_without_new_text_end_it_too(endless, row) -> None:
    source = endless(lambda number: row if number else {"text": words(0)})
    assert len(read_corpus("endless", stream_chars=REACH).documents) in (1, 2)
    assert source.rows <= REACH // ROW_CHARS + LEAST_DOCUMENTS


def test_bad_rows_without_end_are_left_out_to_the_bound(endless) -> None:
    source = endless(lambda number: {"text": None if number % 2 else words(number)})
    with pytest.raises(CorpusError, match=r"endless\[1\] has no text.*skip_bad"):
        read_documents("endless")
    source.rows = 0
    corpus = read_corpus("endless", stream_chars=REACH, skip_bad=True)
    assert len(corpus.skipped) == source.rows // 2
    endless(lambda _: {"label": 1})
    with pytest.raises(CorpusError, match="is empty.*that cannot be read"):
        read_corpus("endless", stream_chars=REACH, skip_bad=True)


def test_long_rows_are_read_until_they_are_enough_to_split(endless) -> None:
    endless(lambda number: {"text": words(number, 300)})
    corpus = read_corpus("endless", stream_chars=REACH)
    assert len(corpus.documents) == LEAST_DOCUMENTS  # 0.4 million characters
    endless(lambda number: {"text": words(number, 6000)})
    corpus = read_corpus("endless", stream_chars=REACH)
    characters = sum(len(document.text) for document in corpus.documents)
    assert characters < (STRETCH + 1) * REACH


def test_a_longer_reading_keeps_every_document_on_its_side(endless) -> None:
    endless(lambda number: {"text": words(number // 2)})  # each twice
    short = split_documents(read_corpus("endless", stream_chars=REACH).documents)
    long = split_documents(read_corpus("endless", stream_chars=2 * REACH).documents)
    for side in ("train", "calibration", "eval"):
        first = getattr(short, side)
        assert getattr(long, side)[: len(first)] == first
    assert long.fingerprint != short.fingerprint


def test_a_finite_data_set_is_read_whole(monkeypatch) -> None:
    rows = [{"text": words(number)} for number in range(30)]
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: iter(rows))
    corpus = read_corpus("finite")
    assert len(corpus.documents) == 30
    assert corpus.reach is None


def test_a_data_set_that_breaks_off_is_named(monkeypatch) -> None:
    def breaking(*_, **__):
        yield {"text": words(0)}
        raise ConnectionError("the line went down\nand more")

    monkeypatch.setattr(datasets, "load_dataset", breaking)
    with pytest.raises(CorpusError, match="'broken' cannot be read.*the line went down$"):
        read_documents("broken")


def test_budgets_grow_by_doubling_and_have_an_end() -> None:
    assert stream_chars() == stream_chars(train=400_000, evaluation=40_000) == STREAM_CHARS
    assert stream_chars(evaluation=50_001) == 2 * STREAM_CHARS
    assert stream_chars(train=10_000_000) == 32 * STREAM_CHARS
    assert stream_chars(train=10**15) == MOST_STREAM_CHARS
