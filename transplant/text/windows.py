"""Windows: the stretches of tokens that a backbone reads at once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from transplant.errors import CorpusError, InputError, foreign
from transplant.text.documents import Document

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Window:
    """Consecutive tokens of one document.

    `ends[i]` is the character of the document at which token `i` ends: what has been read after it.
    Both are kept in 32 bits each, a tenth of what as many Python numbers take.
    """

    ids: Sequence[int]
    ends: Sequence[int]
    document: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", array("i", self.ids))
        object.__setattr__(self, "ends", array("i", self.ends))

    def __len__(self) -> int:
        return len(self.ids)


def texts_of(windows: Iterable[Window], documents: Sequence[Document]) -> list[Document]:
    """What stands in each window behind its first token, as a document of its own."""
    return [
        Document(documents[window.document].text[window.ends[0] : window.ends[-1]], "window")
        for window in windows
    ]


def tokenize(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[list[int], list[int]]]:
    """Yields (token ids, character ends) for each document, without special tokens.

    Raises:
        CorpusError: the tokenizer fails on a text.
    """
    for document in documents:
        with foreign(f"the tokenizer cannot read {document.source}", CorpusError):
            encoded = tokenizer(
                document.text,
                add_special_tokens=False,
                return_offsets_mapping=True,
                return_attention_mask=False,
                verbose=False,
            )
            found = encoded["input_ids"], [end for _, end in encoded["offset_mapping"]]
        yield found


def cut_windows(
    documents: Sequence[Document],
    tokenizer: PreTrainedTokenizerBase,
    length: int,
    *,
    min_length: int = 16,
    max_tokens: int | None = None,
) -> list[Window]:
    """Cuts each document into consecutive windows; none crosses from one document into the next.

    Args:
        documents: what to cut.
        tokenizer: a tokenizer with character offsets.
        length: tokens per window; the last one of a document may be shorter.
        min_length: a remainder shorter than this is dropped.
        max_tokens: stop once this many tokens are cut.

    Raises:
        CorpusError: no window is long enough.
    """
    windows: list[Window] = []
    total = 0
    for cut in cut_each(documents, tokenizer, length, min_length):
        windows += cut
        total += sum(map(len, cut))
        if max_tokens is not None and total >= max_tokens:
            break
    return some_windows(windows, documents, min(min_length, length))


def cut_each(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int,
    min_length: int, is_wanted: Callable[[Document], bool] = lambda _: True,
) -> Iterator[list[Window]]:  # fmt: skip
    """The windows of each document that is wanted when its turn comes, in order."""
    if length < 2:
        raise InputError("`window`", expected="2 tokens or more", found=length)
    min_length = min(min_length, length)
    for number, document in enumerate(documents):
        if not is_wanted(document):
            continue
        ((ids, ends),) = tokenize([document], tokenizer)
        stops = ((start, min(start + length, len(ids))) for start in range(0, len(ids), length))
        yield [
            Window(ids[start:stop], ends[start:stop], number)
            for start, stop in stops
            if stop - start >= min_length
        ]


def some_windows(
    windows: list[Window], documents: Sequence[Document], min_length: int
) -> list[Window]:
    """The same windows.

    Raises:
        CorpusError: there are none.
    """
    if not windows:
        raise CorpusError(
            f"no document is as long as a window of {min_length} tokens",
            found=f"{len(documents)} documents",
        )
    return windows


def pack_tokens(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int
) -> np.ndarray:
    """Joins documents with the end-of-text token and cuts the stream into equal rows.

    These windows cross documents: made for training a backbone, never for evaluation.

    Returns:
        int32 [rows, length]; the last, incomplete row is dropped.

    Raises:
        CorpusError: the corpus is shorter than one row.
    """
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        raise InputError("packing needs a tokenizer with an end-of-text token")
    stream: list[int] = []
    for ids, _ in tokenize(documents, tokenizer):
        stream.extend(ids)
        stream.append(end)
    rows = len(stream) // length
    if rows == 0:
        raise CorpusError("the corpus is shorter than one window", expected=f"{length} tokens")
    return np.asarray(stream[: rows * length], dtype=np.int32).reshape(rows, length)


def batches(windows: Sequence[Sized], tokens: int = 4096) -> Iterator[list[int]]:
    """Groups windows of like length into batches of about `tokens`, padding included.

    Args:
        windows: or other sequences of tokens.
        tokens: of a batch.

    Yields:
        Indices into `windows`; together they name each window once.
    """
    order = sorted(range(len(windows)), key=lambda index: -len(windows[index]))
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * len(windows[batch[0]]) > tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def first_windows(windows: Sequence[Window], tokens: int) -> list[Window]:
    """As many of the first windows as a budget of tokens takes: none begins once it is used up."""
    starts = accumulate((len(window) for window in windows), initial=0)
    return [window for window, start in zip(windows, starts, strict=False) if start < tokens]


def predicted_characters(windows: Sequence[Window]) -> int:
    """The characters that are predicted: all behind the first token of each window."""
    return sum(window.ends[-1] - window.ends[0] for window in windows)
