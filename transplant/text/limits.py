"""How far a corpus is read: what is finite whole, what has no end as far as budgets need."""

from __future__ import annotations

import math

WHOLE_BYTES = 2**28
"""Bytes of files that are read to their end; a larger corpus is read as a stream is."""
LARGEST_BYTES = 2**26
"""Bytes of one document or line: more is refused, as its tokens would not fit in memory."""

STREAM_CHARS = 4_000_000
"""Characters of a stream that are read at least: what the default budgets need, at 8 a token."""
MOST_STREAM_CHARS = STREAM_CHARS * 2**8
CHARS_PER_TOKEN = 8  # more than tokenizers need, so that budgets are filled with a margin
EXCERPT_TOKENS = 400  # of a text for each excerpt that is chosen: more to choose from
TRAIN_SHARE, HELD_SHARE = 0.8, 0.1

LEAST_DOCUMENTS = 200  # so that long documents fill all three sides ...
STRETCH = 8  # ... within so many times the characters
ROW_CHARS = 80  # rows are read as if each had so many at least: empty ones end, too


def stream_chars(*, train: int = 0, calibration: int = 0, evaluation: int = 0) -> int:
    """Returns the characters of a stream that fill these budgets, in tokens of each split.

    It is a power of two times `STREAM_CHARS`, so that runs whose budgets differ a little read the
    same text and have the same splits; never more than `MOST_STREAM_CHARS`.
    """
    needed = needed_chars(train=train, calibration=calibration, evaluation=evaluation)
    chars = STREAM_CHARS
    while chars < min(needed, MOST_STREAM_CHARS):
        chars *= 2
    return chars


def needed_chars(*, train: int = 0, calibration: int = 0, evaluation: int = 0) -> int:
    """Returns the characters of a text that fill these budgets, in tokens of each split."""
    held_out = max(calibration, evaluation) / HELD_SHARE
    return math.ceil(CHARS_PER_TOKEN * max(train / TRAIN_SHARE, held_out))


def is_enough(chars: int, documents: int, rows: int, reach: int) -> bool:
    """Whether so much of a stream is read that no more is.

    Args:
        chars: read so far.
        documents: read so far that have text.
        rows: read so far, with text or not.
        reach: the characters to read, as `stream_chars` gives them.
    """
    if rows * ROW_CHARS >= reach or chars >= STRETCH * reach:
        return True
    return chars >= reach and documents >= LEAST_DOCUMENTS
