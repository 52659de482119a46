"""Near-duplicate removal, so that no held-out document has a twin in the training text."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

from transplant.progress import Progress, unseen
from transplant.text.containment import find_contained

SIMILARITY = 0.7  # estimated Jaccard similarity of word 5-grams from which two texts are twins
SHINGLE = 5  # words
PERMUTATIONS = 64


def drop_near_duplicates(
    texts: Sequence[str], similarity: float = SIMILARITY, progress: Progress = unseen, *,
    contained: bool = True,
) -> list[int]:  # fmt: skip
    """Returns the indices to keep: the first of every group of near-duplicates.

    MinHash over word 5-grams with locality-sensitive hashing (Broder 1997), from `datasketch`.

    Args:
        texts: to be compared.
        similarity: estimated Jaccard similarity from which two are near-duplicates.
        progress: is told of each text.
        contained: whether those go, too, that a longer one contains; see `find_contained`.
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=similarity, num_perm=PERMUTATIONS)
    # The permutations cost more to draw than to apply: draw them once, copy them for each text.
    empty = MinHash(num_perm=PERMUTATIONS, hashfunc=_own)
    kept, hashed = [], []
    for number, text in enumerate(texts):
        progress(number, len(texts), "")
        hashes = [*map(zlib.crc32, _shingles(text))]
        signature = empty.copy()
        signature.update_batch(hashes)
        if not index.query(signature):
            index.insert(number, signature)
            kept.append(number)
            hashed.append(np.unique(np.array(hashes, np.uint32)))
    gone = {*find_contained(hashed)} if contained else set()
    return [number for place, number in enumerate(kept) if place not in gone]


def _shingles(text: str) -> list[bytes]:
    words = re.findall(r"\w+|[^\w\s]", text)
    count = max(1, len(words) - SHINGLE + 1)
    return list({" ".join(words[i : i + SHINGLE]).encode() for i in range(count)})


def _own(hashed: int) -> int:
    return hashed
