"""Files of pairs: BLiMP's, a user's, and what is refused by file and line."""

from __future__ import annotations

import gzip
import json

import pytest

from transplant.counterfactuals.grammars import draw_pairs
from transplant.counterfactuals.pair_file import read_pairs, write_pairs
from transplant.errors import CorpusError

BLIMP = {
    "sentence_good": "Cats sleep.", "sentence_bad": "Cats sleeps.", "field": "morphology",
    "UID": "regular_plural", "pairID": "0",
}  # fmt: skip


def test_what_was_drawn_is_read_back(tmp_path):
    drawn = draw_pairs("coref", 20)
    write_pairs(tmp_path / "pairs.jsonl", "coref", drawn)
    found = read_pairs(tmp_path / "pairs.jsonl")
    assert [(p.good, p.bad, p.field) for p in found.pairs] == [
        (d.pair.good, d.pair.bad, d.field) for d in drawn
    ]
    assert len({pair.couple for pair in found.pairs}) == 10
    assert found.identical == ()


def test_blimp_is_read_plain_packed_and_from_a_folder_without_identical_pairs(tmp_path):
    same = {**BLIMP, "sentence_bad": BLIMP["sentence_good"]}
    text = f"{json.dumps(BLIMP)}\n\n{json.dumps(same)}\n"
    (tmp_path / "a.jsonl").write_text(text)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(text)
    (tmp_path / "readme.txt").write_text("nothing")
    plain, packed = read_pairs(tmp_path / "a.jsonl"), read_pairs(tmp_path / "b.jsonl.gz")
    assert plain.sha256 == packed.sha256
    (pair,) = plain.pairs
    assert (pair.field, pair.paradigm) == ("morphology", "regular_plural")
    assert plain.identical == (f"{tmp_path / 'a.jsonl'}:3",)
    both = read_pairs(tmp_path)
    assert len(both.pairs) == len(both.identical) == 2
    assert len({pair.couple for pair in both.pairs}) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "bad.jsonl:2 is not JSON"),
        ("[1]", "bad.jsonl:2 is no pair"),
        ('{"good": "a"}', "bad.jsonl:2 is no pair"),
        ('{"good": "a", "bad": 3}', "bad.jsonl:2, `bad`"),
        ('{"good": " ", "bad": "b"}', "no text"),
        ('{"good": "a", "bad": "b", "field": 1}', "`field`"),
        ('{"good": "a", "good": "c", "bad": "b"}', "appears twice"),
    ],
)
def test_a_line_that_is_no_pair_is_refused_by_line(tmp_path, line, said):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"good": "a", "bad": "b"}\n' + line + "\n")
    with pytest.raises(CorpusError) as caught:
        read_pairs(path)
    assert said in str(caught.value)


def test_sources_without_pairs_are_refused(tmp_path):
    (tmp_path / "same.jsonl").write_text('{"good": "a", "bad": "a"}\n')
    (tmp_path / "packed.jsonl.gz").write_bytes(b"not gzip")
    (tmp_path / "pairs.csv").write_text("good,bad\n")
    (tmp_path / "empty").mkdir()
    for name, said in {
        "same.jsonl": "1 of identical texts", "packed.jsonl.gz": "cannot be read",
        "pairs.csv": "not understood", "empty": "no pairs", "missing.jsonl": "no such file",
    }.items():  # fmt: skip
        with pytest.raises(CorpusError, match=said):
            read_pairs(tmp_path / name)
