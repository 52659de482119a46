"""Spelling one vocabulary in another."""

from __future__ import annotations

import pytest
import torch

from transplant.alignment.token_map import KINDS, TokenMap, map_tokens, spell
from transplant.alignment.tokens import token_bytes
from transplant.errors import ShapeError
from transplant.text.tokenizers import train_tokenizer


@pytest.fixture(scope="module")
def pair(tiny_texts):
    """A byte-level BPE and a SentencePiece-like unigram tokenizer."""
    return (
        train_tokenizer("bpe", tiny_texts, 330, context=128),
        train_tokenizer("unigram", tiny_texts, 420, context=128),
    )


@pytest.mark.parametrize("turned", [False, True])
def test_a_spelling_stands_for_the_same_bytes(pair, turned):
    a, b = pair[::-1] if turned else pair
    found = map_tokens(a, b)
    bytes_a, bytes_b = token_bytes(a), token_bytes(b)
    seen = set()
    for token, raw in bytes_b.items():
        kind = KINDS[found.kinds[token]]
        seen.add(kind)
        assert kind in ("exact", "decomposed")  # both sides know every byte
        assert b"".join(bytes_a[piece] for piece in found.spelling(token)) == raw
        assert (len(found.spelling(token)) == 1) == (kind == "exact")
    assert seen == {"exact", "decomposed"}
    assert found.spelling(b.eos_token_id) == [a.eos_token_id]
    theirs, ours = found.pairs()
    assert all(
        bytes_a.get(x) == bytes_b.get(y)
        for x, y in zip(theirs.tolist(), ours.tolist(), strict=True)
        if y in bytes_b
    )


def test_a_vocabulary_is_spelled_exactly_in_itself(pair):
    found = map_tokens(pair[0], pair[0])
    assert found.coverage()["exact"] + found.coverage()["special"] == 1.0
    theirs, ours = found.pairs()
    assert torch.equal(theirs, ours)


def test_spellings_are_the_shortest_that_there_are():
    letters = {b"a": 0, b"b": 1, b"ab": 2, b"bcd": 3, b"abc": 4, b"d": 5}
    assert spell(b"abcd", letters, 3) == ([0, 3], True)  # as short as abc + d
    assert spell(b"abab", letters, 3) == ([2, 2], True)
    assert spell(b"abx", letters, 3) == ([2], False)  # its beginning
    assert spell(b"x", letters, 3) == ([], False)


def test_coverage_counts_tokens_or_text(pair):
    found = map_tokens(*pair)
    exact, other = (int(found.of_kind(kind)[0]) for kind in ("exact", "decomposed"))
    assert sum(found.coverage().values()) == pytest.approx(1.0)
    text = found.coverage({exact: 3, other: 1})
    assert (text["exact"], text["decomposed"]) == (0.75, 0.25)


def test_a_map_is_read_as_it_was_stored(pair):
    found = map_tokens(*pair, 500)
    assert len(found) == 500  # a table may be larger than its tokenizer
    assert KINDS[found.kinds[499]] == "none"
    again = TokenMap.from_tensors(found.as_tensors())
    assert torch.equal(again.spelled, found.spelled)
    with pytest.raises(ShapeError, match="starts"):
        TokenMap.from_tensors({**found.as_tensors(), "spelled": found.spelled[1:]})
