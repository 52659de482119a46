"""Tokens as the bytes they stand for."""

from __future__ import annotations

import copy

import pytest

from transplant.alignment import tokens
from transplant.alignment.tokens import (
    beginnings,
    canonical_tokens,
    count_tokens,
    shared_tokens,
    token_bytes,
)
from transplant.text.tokenizers import train_tokenizer

TEXT = "def café(x):\n    return x + 1  # naïve 日本\n"


@pytest.fixture(scope="module")
def tokenizers(tiny_texts):
    return {
        kind: train_tokenizer(kind, tiny_texts, size, context=64)
        for kind, size in (("bpe", 330), ("bpe-digits", 340), ("unigram", 360))
    }


@pytest.mark.parametrize("kind", ["bpe", "bpe-digits", "unigram"])
def test_canonical_bytes_spell_the_text(tokenizers, kind):
    tokenizer = tokenizers[kind]
    names = token_bytes(tokenizer)
    ids = tokenizer(TEXT, add_special_tokens=False).input_ids
    assert b"".join(names[number] for number in ids) == TEXT.encode()


def test_a_piece_goes_before_its_fallback_byte(tokenizers):
    tokenizer = tokenizers["unigram"]
    assert tokenizer.convert_ids_to_tokens(canonical_tokens(tokenizer)[b"a"]) == "a"
    assert tokenizer.convert_ids_to_tokens(canonical_tokens(tokenizer)[b"\xff"]) == "<0xFF>"


def test_special_tokens_stand_for_no_text(tokenizers):
    for tokenizer in tokenizers.values():
        assert not set(canonical_tokens(tokenizer).values()) & set(tokenizer.all_special_ids)


def test_a_space_is_one_byte_in_both_conventions(tokenizers, tiny_texts):
    bpe, unigram = canonical_tokens(tokenizers["bpe"]), canonical_tokens(tokenizers["unigram"])
    both = {raw for raw in bpe.keys() & unigram.keys() if raw.startswith(b" ") and len(raw) > 2}
    assert both  # " the" as Ġthe and as ▁the
    counts = count_tokens(tokenizers["bpe"](" ".join(tiny_texts)).input_ids, tokenizers["bpe"])
    shared = shared_tokens(tokenizers["bpe"], tokenizers["unigram"], counts)
    for a, b in zip(shared.ids_a.tolist(), shared.ids_b.tolist(), strict=True):
        ours = tokenizers["bpe"].convert_ids_to_tokens(a)
        theirs = tokenizers["unigram"].convert_ids_to_tokens(b)
        if ours.isascii() and theirs.isascii() and len(theirs) != 6:
            assert ours == theirs


def test_weights_are_the_counts_and_coverage_their_share(tokenizers):
    tokenizer = tokenizers["bpe"]
    a, b = (tokenizer.convert_tokens_to_ids(token) for token in ("a", "b"))
    counts = count_tokens([a, a, a, b, tokenizer.eos_token_id], tokenizer)
    assert sorted(counts.values()) == [1, 3]  # the special token is not counted
    shared = shared_tokens(tokenizer, tokenizer, counts)
    assert sorted(shared.weights.tolist())[-3:] == [0.0, 0.25, 0.75]  # uncounted ones weigh nothing
    assert shared.coverage == 1.0
    partly = shared_tokens(tokenizer, tokenizer, {**counts, b"no such token".hex(): 4})
    assert partly.coverage == 0.5


def test_a_token_begins_with_the_longest_that_the_donor_has(tokenizers):
    ours, theirs = tokenizers["bpe"], tokenizers["unigram"]
    first = beginnings(ours, theirs, len(theirs) + 3)  # heads are often padded
    bytes_a, named = canonical_tokens(ours), token_bytes(ours)
    assert first[len(theirs) :].tolist() == [-1, -1, -1]
    exact = 0
    for number, raw in token_bytes(theirs).items():
        piece = named[int(first[number])]
        assert raw.startswith(piece)
        assert not any(raw[:length] in bytes_a for length in range(len(piece) + 1, len(raw) + 1))
        exact += piece == raw
    assert 0 < exact < len(token_bytes(theirs))
    assert all(int(first[number]) == -1 for number in theirs.all_special_ids)


def test_bytes_are_read_once_and_again_where_tokens_were_added(tiny_tokenizer, monkeypatch):
    tokenizer, read = copy.deepcopy(tiny_tokenizer), []
    taken = tokens._read_bytes
    monkeypatch.setattr(tokens, "_read_bytes", lambda it: (read.append(1), taken(it))[1])
    first = token_bytes(tokenizer)
    first[0] = b"changed by a caller"
    assert token_bytes(tokenizer) == taken(tokenizer) != first
    assert read == [1]
    tokenizer.add_tokens(["<never seen>"])
    assert b"<never seen>" in token_bytes(tokenizer).values()
    tokenizer.add_special_tokens({"mask_token": "<never seen>"})
    assert b"<never seen>" not in token_bytes(tokenizer).values()
    assert read == [1, 1, 1]
