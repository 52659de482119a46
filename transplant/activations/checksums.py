"""Checksums of a file of activations: a sum for each row of a tap, a hash for all the rest.

Rows are written in any order, committed at any number and written again after a crash. A sum for
each row knows nothing of that: whatever the way, the same rows end with the same sums. It is the
multilinear hash of the row's 32-bit words (Lemire & Kaser, arXiv 1202.4961): odd weights, modulo
2^64, so that a change within one word is always seen, and any other but for one in 2^32. The tap's
name and the row's number go in, so that rows read from another place do not pass. NumPy computes it
at several GB/s; Fletcher32, a filter of HDF5, works on whole chunks, which a writer that commits
rows would have to write again and again, and passes over names, attributes and references.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from transplant.activations.layout import CaptureHeader

BLOCK = 2**20  # entries of a table that are hashed at once
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def row_sums(rows: np.ndarray, tap: str, first: int) -> np.ndarray:
    """The checksum of each row: uint64 [n].

    Args:
        rows: [n, width], C-contiguous, as stored.
        tap: the name of their tap.
        first: the number of the first row in the file.
    """
    n, size = len(rows), rows.shape[1] * rows.itemsize
    raw = rows.view(np.uint8).reshape(n, size)
    if size % 4:
        raw = np.pad(raw, ((0, 0), (0, 4 - size % 4)))
    words = raw.view("<u4")
    sums = np.einsum("ij,j->i", words, _weights(words.shape[1]))
    numbers = np.arange(first, first + n, dtype=np.uint64)
    return (sums + _mixed(numbers + np.uint64(_start_of(tap)))).astype("<u8")


def content_sha256(
    header: CaptureHeader, tables: Mapping[str, Any], parts: Iterable[Mapping[str, Any]] = ()
) -> str:
    """One hash over the attributes and the tables of a file.

    Args:
        header: its attributes, and the widths of its taps.
        tables: arrays or datasets by their names in the file.
        parts: what a joined file says of its parts.
    """
    fields = json.dumps([vars(header), list(parts)], sort_keys=True)
    total = hashlib.sha256(fields.encode(errors="surrogatepass"))
    for name, table in sorted(tables.items()):
        total.update(json.dumps([name, str(table.dtype), list(table.shape)]).encode())
        for start in range(0, len(table), BLOCK):
            total.update(np.ascontiguousarray(table[start : start + BLOCK]).view(np.uint8).data)
    return total.hexdigest()


@lru_cache(maxsize=64)
def _weights(words: int) -> np.ndarray:
    """Odd, and the same for ever."""
    return _mixed(np.arange(1, words + 1, dtype=np.uint64)) | np.uint64(1)


@lru_cache(maxsize=1024)
def _start_of(tap: str) -> int:
    name = tap.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "little")


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele et al., doi 10.1145/2660193.2660195) of each of them."""
    x = numbers * _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
