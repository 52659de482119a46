"""Pairing by character offset, and the excerpts that are paired."""

from __future__ import annotations

import pytest
import torch

from transplant.errors import CorpusError
from transplant.text.documents import Document
from transplant.text.excerpts import cut_excerpts
from transplant.text.offsets import match_positions
from transplant.text.tokenizers import train_tokenizer
from transplant.text.windows import tokenize


def pairs(ends_a, windows_a, ends_b, windows_b):
    a, b = match_positions(*(torch.tensor(x) for x in (ends_a, windows_a, ends_b, windows_b)))
    return list(zip(a.tolist(), b.tolist(), strict=True))


def test_positions_pair_where_both_end_at_one_character():
    assert pairs([2, 5, 9], [0, 0, 0], [1, 2, 9], [0, 0, 0]) == [(0, 1), (2, 2)]


def test_windows_do_not_mix():
    assert pairs([2, 4], [0, 1], [4, 2], [0, 1]) == []
    assert pairs([2, 2], [0, 1], [2, 2], [0, 1]) == [(0, 0), (1, 1)]


def test_the_last_token_of_a_character_counts():
    # Side A spends three tokens on the bytes of one letter that ends at 1.
    assert pairs([1, 1, 1, 2], [0] * 4, [1, 2], [0, 0]) == [(2, 0), (3, 1)]


def test_paired_rows_of_two_tokenizers_have_read_the_same_text(tiny_texts):
    text = tiny_texts[0] + " naïve 日本 " + tiny_texts[1]
    one = train_tokenizer("bpe", tiny_texts, 330, context=64)
    two = train_tokenizer("unigram", tiny_texts, 400, context=64)
    (ids_a, ends_a), (ids_b, ends_b) = (
        next(iter(tokenize([Document(text, "")], tokenizer))) for tokenizer in (one, two)
    )
    found = pairs(ends_a, [0] * len(ends_a), ends_b, [0] * len(ends_b))
    assert len(found) > 0.3 * len(ids_b)
    for a, b in found:
        assert one.decode(ids_a[: a + 1]) == two.decode(ids_b[: b + 1]) == text[: ends_a[a]]


def test_excerpts_are_cut_from_every_document_and_none_twice(tiny_corpus):
    taken = cut_excerpts(tiny_corpus, chars=200)
    homes = {d.digest for d in tiny_corpus for e in taken if e.text in d.text}
    assert len(homes) == len(tiny_corpus)
    assert all(60 <= len(excerpt.text) <= 200 for excerpt in taken)
    whole = "".join("".join(d.text.split()) for d in tiny_corpus)
    assert 0.8 * len(whole) < sum(len("".join(e.text.split())) for e in taken) <= len(whole)


def test_no_document_long_enough_is_an_error():
    with pytest.raises(CorpusError, match="long enough"):
        cut_excerpts([Document("short", "")])
