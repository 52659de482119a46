"""Near-duplicate removal, so that no held-out document has a twin in the training text."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from transplant.progress import Progress, unseen

SIMILARITY = 0.7  # estimated Jaccard similarity of word 5-grams from which two texts are twins
SHINGLE = 5  # words
PERMUTATIONS = 64


def drop_near_duplicates(
    texts: Sequence[str], similarity: float = SIMILARITY, progress: Progress = unseen
) -> list[int]:
    """Returns the indices to keep: the first of every group of near-duplicates.

    MinHash over word 5-grams with locality-sensitive hashing (Broder 1997), from `datasketch`.
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=similarity, num_perm=PERMUTATIONS)
    # The permutations cost more to draw than to apply: draw them once, copy them for each text.
    empty = MinHash(num_perm=PERMUTATIONS, hashfunc=_crc32)
    kept = []
    for number, text in enumerate(texts):
        progress(number, len(texts), "")
        signature = empty.copy()
        signature.update_batch(_shingles(text))
        if not index.query(signature):
            index.insert(number, signature)
            kept.append(number)
    return kept


def _shingles(text: str) -> list[bytes]:
    words = re.findall(r"\w+|[^\w\s]", text)
    count = max(1, len(words) - SHINGLE + 1)
    return list({" ".join(words[i : i + SHINGLE]).encode() for i in range(count)})


def _crc32(data: bytes) -> int:
    return zlib.crc32(data)
