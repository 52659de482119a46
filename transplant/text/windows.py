"""Windows: the stretches of tokens that a backbone reads at once."""

from __future__ import annotations

import random
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
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
    if length < 2:
        raise InputError("`window`", expected="2 tokens or more", found=length)
    min_length = min(min_length, length)
    windows: list[Window] = []
    total = 0
    for number, (ids, ends) in enumerate(tokenize(documents, tokenizer)):
        for start in range(0, len(ids), length):
            stop = min(start + length, len(ids))
            if stop - start < min_length:
                continue
            windows.append(Window(ids[start:stop], ends[start:stop], number))
            total += stop - start
        if max_tokens is not None and total >= max_tokens:
            break
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


def spread_windows(
    documents: Sequence[Document],
    tokenizer: PreTrainedTokenizerBase,
    length: int,
    max_tokens: int,
    *,
    min_length: int = 16,
    seed: int | None = None,
) -> list[Window]:
    """Like `cut_windows`, but takes the budget in turns from all documents.

    The first windows of every document come before the second ones of any, so that a small budget
    still sees every document; with a seed each document's windows come in an order that it draws,
    and so do the documents. Of several sources each gives the same number of tokens, or all that it
    has.
    """
    windows = cut_windows(documents, tokenizer, length, min_length=min_length)
    if seed is not None:
        random.Random(seed).shuffle(windows)
    return choose_windows(windows, documents, max_tokens)


def choose_windows(
    windows: Sequence[Window], documents: Sequence[Document], max_tokens: int
) -> list[Window]:
    """The windows of a budget, as `spread_windows` chooses them.

    Args:
        windows: to choose from.
        documents: that they were cut from.
        max_tokens: no window begins once this many are chosen.
    """
    sizes, owners = [*map(len, windows)], [window.document for window in windows]
    queues: dict[int, deque[int]] = {}
    for index in take_in_turns(owners, sizes, sum(sizes)):
        queues.setdefault(documents[owners[index]].part, deque()).append(index)
    given = dict.fromkeys(sorted(queues), 0)
    chosen: list[Window] = []
    while queues and sum(given.values()) < max_tokens:
        part = min(queues, key=given.__getitem__)
        index = queues[part].popleft()
        chosen.append(windows[index])
        given[part] += sizes[index]
        if not queues[part]:
            del queues[part]
    return chosen


def first_windows(windows: Sequence[Window], tokens: int) -> list[Window]:
    """As many of the first windows as a budget of tokens takes: none begins once it is used up."""
    starts = accumulate((len(window) for window in windows), initial=0)
    return [window for window, start in zip(windows, starts, strict=False) if start < tokens]


def take_in_turns(documents: Sequence[int], sizes: Sequence[int], max_tokens: int) -> list[int]:
    """The first windows of all documents, then their second ones, until there are enough tokens.

    Args:
        documents: of each window.
        sizes: the tokens of each window.
        max_tokens: no window begins once this many are taken.

    Returns:
        Indices of windows, in the order in which they were taken.
    """
    seen: dict[int, int] = {}
    turns = []
    for document in documents:
        turns.append(seen.setdefault(document, 0))
        seen[document] += 1
    taken: list[int] = []
    total = 0
    # Sorting is stable: documents keep their order within a turn.
    for index in sorted(range(len(turns)), key=turns.__getitem__):
        if total >= max_tokens:
            break
        taken.append(index)
        total += sizes[index]
    return taken


def predicted_characters(windows: Sequence[Window]) -> int:
    """The characters that are predicted: all behind the first token of each window."""
    return sum(window.ends[-1] - window.ends[0] for window in windows)
