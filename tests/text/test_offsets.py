"""Pairing by character offset, and the excerpts that are paired."""

from __future__ import annotations

import pytest
import torch

from transplant.errors import CorpusError
from transplant.text.documents import Document
from transplant.text.excerpts import cut_excerpts
from transplant.text.offsets import match_positions, number_chunks
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


def test_short_documents_are_excerpts_as_they_are_where_most_of_the_text_is_in_them():
    games = [Document(f"1. e4 e5 {n} " + "2. Nf3 Nc6 " * 10, "") for n in range(20)]
    long = Document("a long one " * 40, "")
    taken = [e.text for e in cut_excerpts([*games, long, Document("1-0", "")], chars=400)]
    assert taken[:20] == [game.text.strip() for game in games]
    assert len(taken) == 21
    assert len(taken[20]) <= 400
    few = [e.text for e in cut_excerpts([*games[:3], long], chars=400)]  # the control: mostly long
    assert few == taken[20:]


def test_no_document_long_enough_is_an_error():
    with pytest.raises(CorpusError, match="long enough") as caught:
        cut_excerpts([Document("short", "")])
    assert caught.value.found == "5 in the longest of 1 documents"


def test_chunks_lie_between_characters_at_which_both_sides_end():
    # Window 1 begins with a letter that A reads as two bytes.
    ends_a, windows_a = torch.tensor([1, 3, 4, 7, 2, 2, 5]), torch.tensor([0, 0, 0, 0, 1, 1, 1])
    ends_b, windows_b = torch.tensor([2, 3, 7, 2, 5]), torch.tensor([0, 0, 0, 1, 1])
    ours, theirs = number_chunks(ends_a, windows_a, ends_b, windows_b)
    # Characters 3 to 7 are chunk 0: two tokens of A, one of B; 2 to 5 of window 1 are chunk 1.
    assert ours.tolist() == [-1, 0, 0, -1, -1, 1, -1]
    assert theirs.tolist() == [-1, 0, -1, 1, -1]
    for found in number_chunks(ends_a + 100, windows_a, ends_b, windows_b):
        assert set(found.tolist()) == {-1}  # control: nothing is shared


def test_chunks_of_real_tokens_hold_the_same_text(tiny_texts):
    coarse, fine = (train_tokenizer("bpe", tiny_texts, size, context=128) for size in (420, 300))
    text = "".join(tiny_texts)[:400]
    sides = []
    for tokenizer in (coarse, fine):
        spans = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        sides.append(torch.tensor([end for _, end in spans]))
    zeros = [torch.zeros_like(side) for side in sides]
    numbers = number_chunks(sides[0], zeros[0], sides[1], zeros[1])
    spans = []
    for ends, found in zip(sides, numbers, strict=True):
        # A row's next token lies between its own end and the next row's.
        rows = [row for row, number in enumerate(found.tolist()) if number >= 0]
        read: dict[int, list[int]] = {}
        for row in rows:
            read.setdefault(int(found[row]), []).extend([int(ends[row]), int(ends[row + 1])])
        spans.append({number: (min(found), max(found)) for number, found in read.items()})
    assert spans[0] == spans[1]
    assert len(spans[0]) > 20
