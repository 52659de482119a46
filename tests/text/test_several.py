"""Several sources named together, and the equal parts of a budget that they get."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import write_document
from transplant.errors import CorpusError
from transplant.text.document import Document
from transplant.text.documents import read_corpus
from transplant.text.several import names_of
from transplant.text.splits import split_documents
from transplant.text.spread import spread_windows


def write_folder(folder: Path, first: int, count: int) -> Path:
    folder.mkdir()
    for number in range(first, first + count):
        (folder / f"{number}.txt").write_text(write_document(number))
    return folder


def test_several_sources_are_read_as_one_corpus(tmp_path):
    a, b = write_folder(tmp_path / "a", 0, 5), write_folder(tmp_path / "b", 100, 40)
    both = read_corpus(f"{a}, {b}")
    assert Counter(document.part for document in both.documents) == {0: 5, 1: 40}
    alone = [*read_corpus(str(a)).documents, *read_corpus(str(b)).documents]
    assert [d.text for d in both.documents] == [d.text for d in alone]


def test_a_document_is_on_the_side_that_it_is_on_in_its_source_alone(tmp_path):
    a, b = write_folder(tmp_path / "a", 0, 40), write_folder(tmp_path / "b", 100, 40)
    alone = split_documents(read_corpus(str(a)).documents)
    both = split_documents(read_corpus(f"{a},{b}").documents)
    for side in ("train", "calibration", "eval"):
        mine = [d.digest for d in getattr(both, side) if d.part == 0]
        assert mine == [d.digest for d in getattr(alone, side)]


def test_what_two_sources_share_is_of_the_first(tmp_path):
    a, b = write_folder(tmp_path / "a", 0, 5), write_folder(tmp_path / "b", 3, 5)
    found = read_corpus(f"{a},{b}").documents
    assert Counter(document.part for document in found) == {0: 5, 1: 3}
    c = write_folder(tmp_path / "c", 1, 2)
    with pytest.raises(CorpusError, match="c has no document of its own"):
        read_corpus(f"{a},{c}")


def test_a_name_with_a_comma_that_is_there_is_one_source(tmp_path):
    folder = write_folder(tmp_path / "a,b", 0, 3)
    assert names_of(str(folder)) == [str(folder)]
    assert len(read_corpus(str(folder)).documents) == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [("python,", "without a name"), (",", "without a name"), ("python, python", "named twice"),
     ("python,./no-such.txt", "no such corpus: ./no-such.txt")],
)  # fmt: skip
def test_sources_that_make_no_sense_are_refused_by_name(given, says):
    with pytest.raises(CorpusError, match=says):
        read_corpus(given)


@pytest.mark.parametrize("seed", [None, 0])
def test_sources_share_a_budget_equally_however_many_documents_they_have(tiny_tokenizer, seed):
    few = [Document(write_document(n) * 4, "few", part=0) for n in range(3)]
    many = [Document(write_document(n), "many", part=1) for n in range(100, 140)]
    documents, budget = [*many, *few], 600
    chosen = spread_windows(documents, tiny_tokenizer, 32, budget, seed=seed)
    tokens = Counter()
    for window in chosen:
        tokens[documents[window.document].part] += len(window)
    assert abs(tokens[0] - tokens[1]) <= 32
    assert budget <= sum(tokens.values()) < budget + 32
    every = spread_windows(documents, tiny_tokenizer, 32, 10**9, seed=seed)  # all that there is
    assert every[: len(chosen)] == chosen
    assert {window.document for window in every} == set(range(len(documents)))


def test_with_a_seed_windows_are_of_any_place_of_their_documents(tiny_tokenizer):
    documents = [Document(write_document(n) * 4, "x") for n in range(12)]

    def later(seed: int | None) -> int:
        chosen = spread_windows(documents, tiny_tokenizer, 32, 12 * 32, seed=seed)
        assert len({window.document for window in chosen}) == len(documents)  # one of each
        return sum(window.ends[-1] > 400 for window in chosen)

    assert later(None) == 0
    assert later(0) > 2
    assert spread_windows(documents, tiny_tokenizer, 32, 300, seed=1) != spread_windows(
        documents, tiny_tokenizer, 32, 300, seed=2
    )
