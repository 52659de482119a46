"""The tiny corpus, split."""

from __future__ import annotations

import pytest

from transplant.text.splits import split_documents


@pytest.fixture(scope="module")
def text(tiny_corpus):
    return split_documents(tiny_corpus)
