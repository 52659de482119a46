"""Excerpts that look like the domain are found by token counts alone."""

from __future__ import annotations

from transplant.alignment.tokens import count_tokens
from transplant.calibration.excerpt_selection import most_like_domain
from transplant.text.documents import Document

CODE = [f"def f(x):\n    return x[0] + {n}\n" * 5 for n in range(6)]


def test_domain_like_excerpts_come_first(tiny_texts, tiny_tokenizer):
    excerpts = [Document(text[:200], "prose") for text in tiny_texts[:20]]
    excerpts[3:3] = [Document(text, "code") for text in CODE]
    counts = count_tokens(tiny_tokenizer("".join(CODE[:2])).input_ids, tiny_tokenizer)
    chosen = most_like_domain(excerpts, counts, tiny_tokenizer, 6)
    assert [document.source for document in chosen] == ["code"] * 6
    other = count_tokens(tiny_tokenizer(tiny_texts[40]).input_ids, tiny_tokenizer)
    prose = most_like_domain(excerpts, other, tiny_tokenizer, 6)
    assert {document.source for document in prose} == {"prose"}  # the counts decide, not the order


def test_all_are_kept_where_all_are_asked_for(tiny_corpus, tiny_tokenizer):
    counts = {b"a".hex(): 1}
    chosen = most_like_domain(tiny_corpus, counts, tiny_tokenizer, 10**6)
    assert sorted(d.digest for d in chosen) == sorted(d.digest for d in tiny_corpus)
