"""Windows of unequal length on the tiny corpus, one of each document."""

from __future__ import annotations

import pytest

from transplant.text.windows import Window, tokenize


def cut(documents, tokenizer, lengths) -> list[Window]:
    """The first tokens of each document, as many as `lengths` says."""
    read = zip(tokenize(documents, tokenizer), lengths, strict=False)
    return [Window(ids[:n], ends[:n], number) for number, ((ids, ends), n) in enumerate(read)]


@pytest.fixture(scope="session")
def windows(tiny_corpus, tiny_tokenizer) -> list[Window]:
    return cut(tiny_corpus, tiny_tokenizer, (40, 31, 22, 37, 16))
