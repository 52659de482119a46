"""Texts that another one contains: nine tenths of their shingles or more are in it.

A short text inside a long one has a small Jaccard similarity, so that MinHash does not see it. Of
hashed shingles, sorted once, those that no other text has rule most texts out (Broder 1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARE = 0.9  # of a text's shingles that are in the other; two of one length are twins before that
LEAST = 20  # shingles of a text that may be called contained: shorter ones are phrases
TRIED = 4  # texts that are compared whole, those that share the most rare shingles
PROBES, LOOKED_AT = 64, 1 << 14  # rare shingles that are looked up, and texts that have them


@dataclass(frozen=True)
class _Index:
    """Which texts have which shingle."""

    hashes: NDArray[np.uint32]
    """All of them, sorted, each once."""
    first: NDArray[np.int64]
    """Where the texts of each begin in `texts`, and the end of them all."""
    texts: NDArray[np.int64]

    @classmethod
    def of(cls, shingles: Sequence[NDArray[np.uint32]]) -> _Index:
        """The index of texts, by their hashed shingles, each once."""
        rows = [own.astype(np.uint64) << 32 | number for number, own in enumerate(shingles)]
        both = np.concatenate([np.empty(0, np.uint64), *rows])
        both.sort()
        hashes = (both >> 32).astype(np.uint32)
        begins = np.flatnonzero(np.diff(hashes, prepend=hashes[:1] + 1))
        ends = np.append(begins, len(hashes))
        return cls(hashes[begins], ends, (both & 0xFFFFFFFF).astype(np.int64))

    def shared(self, count: int) -> NDArray[Any]:
        """How many shingles of each text are in others, too."""
        have = np.diff(self.first)
        return np.bincount(self.texts, np.repeat(have > 1, have), minlength=count)

    def texts_with(self, own: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The texts that have the rarest of some shingles, once for each that they have."""
        places = np.searchsorted(self.hashes, own)
        have = self.first[places + 1] - self.first[places]
        rarest = np.argsort(have, kind="stable")[:PROBES]
        within = rarest[np.cumsum(have[rarest]) <= LOOKED_AT]
        chosen = places[within if len(within) else rarest[:1]]
        return np.concatenate([self.texts[self.first[p] : self.first[p + 1]] for p in chosen])


def find_contained(shingles: Sequence[NDArray[np.uint32]]) -> list[int]:
    """Returns the numbers of the texts that a larger one contains; of equals the first is larger.

    Args:
        shingles: the hashed shingles of each text, sorted, each once.
    """
    sizes = np.array([len(own) for own in shingles], np.int64)
    index = _Index.of(shingles)
    possible = (index.shared(len(sizes)) >= SHARE * sizes) & (sizes >= LEAST)
    return [
        number
        for number in np.flatnonzero(possible).tolist()
        if any(
            _holds(shingles[it], shingles[number]) for it in _larger(index, shingles, sizes, number)
        )
    ]


def _larger(
    index: _Index, shingles: Sequence[NDArray[np.uint32]], sizes: NDArray[np.int64], number: int
) -> list[int]:
    """The larger texts that share the most rare shingles with one."""
    texts, hits = np.unique(index.texts_with(shingles[number]), return_counts=True)
    equal = (sizes[texts] == sizes[number]) & (texts < number)
    larger = (sizes[texts] > sizes[number]) | equal
    return texts[larger][np.argsort(-hits[larger], kind="stable")[:TRIED]].tolist()


def _holds(whole: NDArray[np.uint32], part: NDArray[np.uint32]) -> bool:
    at = np.searchsorted(whole, part).clip(max=len(whole) - 1)
    return float((whole[at] == part).mean()) >= SHARE
