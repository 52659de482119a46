"""Windows of several lengths."""

from __future__ import annotations

import pytest

from transplant.text.windows import cut_windows

LENGTHS = ((0, 9), (1, 23), (2, 23), (3, 17))  # document, tokens


@pytest.fixture(scope="module")
def windows(tiny_corpus, tiny_tokenizer):
    """Four windows of three lengths, none of them of the same text."""
    cut = [cut_windows(tiny_corpus[n : n + 1], tiny_tokenizer, size) for n, size in LENGTHS]
    return [pieces[0] for pieces in cut]
