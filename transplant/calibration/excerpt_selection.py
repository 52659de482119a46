"""Which excerpts to pair on: those that look most like the domain.

A module is moved with ordinary text, but ordinary text holds passages that resemble the domain
(code in docstrings, for a module on code). The token counts that travel with the module find them;
no text of the domain is read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from transplant.alignment.tokens import token_bytes
from transplant.text.documents import Document

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def most_like_domain(
    excerpts: Sequence[Document],
    counts: Mapping[str, int],
    tokenizer: PreTrainedTokenizerBase,
    keep: int,
) -> list[Document]:
    """The `keep` excerpts with the highest mean log-ratio of domain to ordinary token frequency.

    Args:
        excerpts: candidates; together they stand for ordinary text.
        counts: the domain's token counts, as `count_tokens` gives them.
        tokenizer: the one that the counts were made with, the donor's.
        keep: how many to return, the most alike first.
    """
    encoded = tokenizer(
        [excerpt.text for excerpt in excerpts],
        add_special_tokens=False,
        return_attention_mask=False,
        verbose=False,
    )
    best = by_likeness(encoded["input_ids"], counts, tokenizer)
    return [excerpts[index] for index in best[:keep]]


def by_likeness(
    texts: Sequence[Sequence[int]],
    counts: Mapping[str, int],
    tokenizer: PreTrainedTokenizerBase,
) -> list[int]:
    """The indices of texts, given as token ids, the most alike first."""
    names = {number: raw.hex() for number, raw in token_bytes(tokenizer).items()}
    named = [[names[i] for i in ids if i in names] for ids in texts]
    ratio = _log_ratios(counts, Counter(name for text in named for name in text))
    scores = [sum(ratio[name] for name in text) / max(1, len(text)) for text in named]
    return sorted(range(len(texts)), key=lambda index: -scores[index])


def _log_ratios(domain: Mapping[str, int], ordinary: Mapping[str, int]) -> dict[str, float]:
    """log p_domain - log p_ordinary for every token of ordinary text, with add-one smoothing."""
    vocabulary = len(domain.keys() | ordinary.keys())
    total_d, total_o = sum(domain.values()) + vocabulary, sum(ordinary.values()) + vocabulary
    return {
        name: math.log((domain.get(name, 0) + 1) / total_d) - math.log((count + 1) / total_o)
        for name, count in ordinary.items()
    }
