"""Windows of a budget: the same as of all text, though no more of it is tokenized than decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from transplant.text import windows as cutting
from transplant.text.documents import Document
from transplant.text.spread import choose_windows, spread_windows
from transplant.text.windows import cut_windows


@pytest.fixture
def tokenized(monkeypatch):
    """The documents that were tokenized, from here on."""
    seen, plain = [], cutting.tokenize

    def counted(documents, tokenizer):
        seen.extend(documents)
        return plain(documents, tokenizer)

    monkeypatch.setattr(cutting, "tokenize", counted)
    return seen


@pytest.fixture(params=[1, 3])
def documents(request, tiny_corpus):
    """Of one source or of three, one after the other; one of them is short, some give nothing."""
    many = [replace(one, part=min(n // 25, request.param - 1)) for n, one in enumerate(tiny_corpus)]
    return [Document("too short", "first"), *many[:40], Document("a", "last", part=many[39].part),
            *many[40:]]  # fmt: skip


@pytest.mark.parametrize("budget", [0, 1, 100, 600, 3000, 9000, 10**9])
def test_they_are_those_of_all_text(documents, budget, tiny_tokenizer, tokenized):
    everything = cut_windows(documents, tiny_tokenizer, 32)
    assert len(tokenized) == len(documents)
    expected = choose_windows(everything, documents, budget)
    tokenized.clear()
    assert spread_windows(documents, tiny_tokenizer, 32, budget) == expected
    decided = budget <= 600  # the first windows of a source are enough
    assert (len(tokenized) < len(documents)) == decided


def test_with_a_seed_all_of_it_is_drawn_from(documents, tiny_tokenizer, tokenized):
    drawn = spread_windows(documents, tiny_tokenizer, 32, 100, seed=0)
    assert len(tokenized) == len(documents)
    assert drawn != spread_windows(documents, tiny_tokenizer, 32, 100)
