"""Windows keep to their documents and lose no token."""

import copy
import gc
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from transplant.errors import CorpusError, InputError
from transplant.text.documents import Document
from transplant.text.windows import cut_windows, pack_tokens, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Corpus = tuple[Document, ...]


def test_windows_reproduce_the_token_stream_of_each_document(
    tiny_corpus: Corpus, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    windows = cut_windows(tiny_corpus, tiny_tokenizer, 37, min_length=1)
    for number, (ids, ends) in enumerate(tokenize(tiny_corpus, tiny_tokenizer)):
        own = [window for window in windows if window.document == number]
        assert [token for window in own for token in window.ids] == ids
        assert [end for window in own for end in window.ends] == ends
        assert all(len(window) == 37 for window in own[:-1])


def test_no_window_crosses_documents(
    tiny_corpus: Corpus, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    for window in cut_windows(tiny_corpus, tiny_tokenizer, 64):
        assert tiny_tokenizer.decode(window.ids) in tiny_corpus[window.document].text


def test_ends_are_the_characters_at_which_tokens_end(
    tiny_corpus: Corpus, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    for window in cut_windows(tiny_corpus, tiny_tokenizer, 64, min_length=1):
        text = tiny_corpus[window.document].text
        first = tiny_tokenizer.decode(window.ids[:1])
        start = window.ends[0] - len(first)
        assert text[start : window.ends[0]] == first
        for position in range(1, len(window)):
            read = tiny_tokenizer.decode(window.ids[: position + 1])
            assert text[start : window.ends[position]] == read


def test_ends_count_characters_and_not_bytes(tiny_tokenizer: "PreTrainedTokenizerFast") -> None:
    text = "né 漢字 🙂 end"
    ((ids, ends),) = tokenize([Document(text, "")], tiny_tokenizer)
    assert len(ids) > len(text)  # several tokens within one character
    assert ends == sorted(ends)
    assert {text.index("é") + 1, text.index("字") + 1, text.index("🙂") + 1} <= set(ends)
    assert ends[-1] == len(text)


def test_a_remainder_is_dropped_only_below_the_minimum(
    tiny_corpus: Corpus, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    every = cut_windows(tiny_corpus, tiny_tokenizer, 64, min_length=1)
    assert any(len(window) < 16 for window in every)  # a remainder to drop
    assert cut_windows(tiny_corpus, tiny_tokenizer, 64, min_length=16) == [
        window for window in every if len(window) >= 16
    ]


def test_max_tokens_stops_after_the_document_that_reaches_it(
    tiny_corpus: Corpus, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    every = cut_windows(tiny_corpus, tiny_tokenizer, 64)
    some = cut_windows(tiny_corpus, tiny_tokenizer, 64, max_tokens=500)
    assert some == every[: len(some)]
    total = sum(map(len, some))
    last = sum(len(window) for window in some if window.document == some[-1].document)
    assert total - last < 500 <= total


def test_windows_take_eight_bytes_for_each_token(
    tiny_corpus: Corpus, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    long = [Document(" ".join(document.text for document in tiny_corpus), "")]

    def held(make) -> float:
        """Bytes for each token of what is made."""
        tracemalloc.start()
        made = make()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del made
        return size / tokens

    tokens = sum(map(len, cut_windows(long, tiny_tokenizer, 512, min_length=1)))
    assert 8 <= held(lambda: cut_windows(long, tiny_tokenizer, 512, min_length=1)) < 12
    assert held(lambda: list(tokenize(long, tiny_tokenizer))) > 30


def test_windows_that_cannot_be_are_refused(
    tiny_corpus: Corpus, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    with pytest.raises(InputError, match="`window`: expected 2 tokens"):
        cut_windows(tiny_corpus, tiny_tokenizer, 1)
    with pytest.raises(CorpusError, match="as long as a window of 16"):
        cut_windows([Document("short", "")], tiny_tokenizer, 64)


def test_packed_rows_are_the_documents_with_the_end_of_text_between(
    tiny_corpus: Corpus, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    rows = pack_tokens(tiny_corpus, tiny_tokenizer, 50)
    end = tiny_tokenizer.eos_token_id
    stream = [t for ids, _ in tokenize(tiny_corpus, tiny_tokenizer) for t in (*ids, end)]
    assert rows.dtype == np.int32
    assert rows.shape == (len(stream) // 50, 50)
    assert rows.ravel().tolist() == stream[: rows.size]
    inside = rows[:, 1:-1] == end
    assert inside.any()  # so some row does cross from one document into the next


def test_a_corpus_shorter_than_a_row_cannot_be_packed(
    tiny_tokenizer: "PreTrainedTokenizerFast",
) -> None:
    with pytest.raises(CorpusError, match="shorter than one window"):
        pack_tokens([Document("short", "")], tiny_tokenizer, 64)


def test_packing_needs_an_end_of_text_token(
    tiny_corpus: Corpus, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    without = copy.deepcopy(tiny_tokenizer)
    without.eos_token = None
    with pytest.raises(InputError, match="end-of-text"):
        pack_tokens(tiny_corpus, without, 50)


def test_a_text_that_the_tokenizer_fails_on_is_named(tiny_corpus: Corpus) -> None:
    def failing(text: str, **_: object) -> None:
        raise KeyError(text[:3])

    with pytest.raises(CorpusError, match="the tokenizer cannot read tiny/0.*KeyError"):
        cut_windows(tiny_corpus, failing, 37)  # pyright: ignore[reportArgumentType]
