"""Windows of a budget, spread over documents, and over several sources in equal parts."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from transplant.text.documents import Document
from transplant.text.windows import Window, cut_each, cut_windows, some_windows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    if seed is None:
        windows = _deciding_windows(documents, tokenizer, length, max_tokens, min_length)
    else:
        windows = cut_windows(documents, tokenizer, length, min_length=min_length)
        random.Random(seed).shuffle(windows)
    return choose_windows(windows, documents, max_tokens)


def _deciding_windows(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int,
    max_tokens: int, min_length: int,
) -> list[Window]:  # fmt: skip
    """The windows of as many documents of each source as a budget can reach: the rest is not read.

    A source whose first windows are enough for all of the budget gives nothing else.
    """
    firsts: Counter[int] = Counter()  # tokens of first windows, by source
    windows: list[Window] = []
    each = cut_each(
        documents, tokenizer, length, min_length, lambda one: firsts[one.part] < max(1, max_tokens)
    )
    for cut in each:
        windows += cut
        if cut:
            firsts[documents[cut[0].document].part] += len(cut[0])
    return some_windows(windows, documents, min(min_length, length))


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
