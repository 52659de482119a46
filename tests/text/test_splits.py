"""Which side a document is on depends on its text alone."""

import random

import pytest

from transplant.errors import CorpusError
from transplant.text.documents import Document
from transplant.text.splits import (
    CALIBRATION_SHARE,
    EVAL_SHARE,
    Splits,
    fingerprint,
    split_documents,
    split_of,
)

Corpus = tuple[Document, ...]
KNOWN_SIDES = "tttttecttttttttttttteecttcetttcctttttttt"


def sides_of(splits: Splits) -> dict[str, set[str]]:
    sides = {"train": splits.train, "calibration": splits.calibration, "eval": splits.eval}
    return {name: {document.text for document in side} for name, side in sides.items()}


def test_sides_are_disjoint_and_cover_everything(tiny_corpus: Corpus) -> None:
    sides = sides_of(split_documents(tiny_corpus))
    assert sum(len(side) for side in sides.values()) == len(tiny_corpus)
    assert set().union(*sides.values()) == {document.text for document in tiny_corpus}


def test_neither_order_nor_path_nor_company_moves_a_document(tiny_corpus: Corpus) -> None:
    moved = [Document(document.text, f"elsewhere/{i}") for i, document in enumerate(tiny_corpus)]
    random.Random(0).shuffle(moved)
    before, after = split_documents(tiny_corpus), split_documents(moved)
    assert sides_of(before) == sides_of(after)
    assert before.fingerprint == after.fingerprint
    fewer = sides_of(split_documents(moved[:30], require_all=False))
    assert all(fewer[name] <= side for name, side in sides_of(before).items())


def test_one_changed_text_changes_the_fingerprint(tiny_corpus: Corpus) -> None:
    changed = (Document(tiny_corpus[0].text + "!", tiny_corpus[0].source), *tiny_corpus[1:])
    assert fingerprint(changed) != fingerprint(tiny_corpus)
    assert split_documents(changed).fingerprint != split_documents(tiny_corpus).fingerprint
    assert fingerprint(tiny_corpus[1:]) != fingerprint(tiny_corpus)


def test_the_fingerprint_tells_on_which_side_a_document_is() -> None:
    one, other = Document("one", ""), Document("other", "")
    assert Splits((one,), (), (other,)).fingerprint != Splits((other,), (), (one,)).fingerprint


def test_shares_are_as_stated() -> None:
    sides = [split_of(Document(str(number), "")) for number in range(20_000)]
    assert sides.count("eval") / len(sides) == pytest.approx(EVAL_SHARE, abs=0.01)
    assert sides.count("calibration") / len(sides) == pytest.approx(CALIBRATION_SHARE, abs=0.01)


def test_sides_of_known_documents_never_change() -> None:
    # A release that moved documents across the line would hold out what an older one trained on.
    assert "".join(split_of(Document(str(i), ""))[0] for i in range(40)) == KNOWN_SIDES


def test_an_empty_side_is_an_error_unless_allowed(tiny_corpus: Corpus) -> None:
    with pytest.raises(CorpusError, match=r"split is empty.* found 1"):
        split_documents(tiny_corpus[:1])
    splits = split_documents(tiny_corpus[:1], require_all=False)
    assert len(splits.train + splits.calibration + splits.eval) == 1
