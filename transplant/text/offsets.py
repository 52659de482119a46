"""Pairing token positions of two tokenizations by character offset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

STRIDE = 2**40  # longer than any document: keeps the windows of a batch apart


def match_positions(
    ends_a: Tensor, windows_a: Tensor, ends_b: Tensor, windows_b: Tensor
) -> tuple[Tensor, Tensor]:
    """The rows at which both sides have read up to the same character of the same window.

    Where several tokens end at one character (the bytes of one letter), the last one counts: only
    then has the whole character been read.

    Args:
        ends_a: [rows_a], the character up to which each row of side A has read.
        windows_a: [rows_a], the window of each row; both sides number the same texts.
        ends_b: [rows_b], the same for side B.
        windows_b: [rows_b].

    Returns:
        (rows of A, rows of B), of equal length and in text order.
    """
    keys_a, rows_a = _last_rows(ends_a, windows_a)
    keys_b, rows_b = _last_rows(ends_b, windows_b)
    _, at_a, at_b = np.intersect1d(keys_a, keys_b, assume_unique=True, return_indices=True)
    return torch.from_numpy(rows_a[at_a]), torch.from_numpy(rows_b[at_b])


def common_rows(rows: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The rows that stand in each of several lists, and their places in each.

    Args:
        rows: ascending, as `match_positions` finds those of one side with several others.
    """
    common = rows[0]
    for more in rows[1:]:
        common = common[torch.isin(common, more)]
    return common, [torch.searchsorted(one, common) for one in rows]


def unmatched(rows: Tensor, count: int) -> Tensor:
    """Of rows 0 to `count` of a side those that `match_positions` has not found, in text order."""
    alone = torch.ones(count, dtype=torch.bool)
    alone[rows] = False
    return alone.nonzero()[:, 0]


def thinned(count: int, stride: int) -> int:
    """How many of so many rows `[::stride]` keeps."""
    return -(-count // stride)


def rows_before(
    ends_a: Tensor, windows_a: Tensor, ends_b: Tensor, windows_b: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """The last row of side A before each of some rows of B, in the same window.

    Args:
        ends_a: [rows_a], the character up to which each row of side A has read.
        windows_a: [rows_a], the window of each row; both sides number the same texts.
        ends_b: [rows_b], the same for side B.
        windows_b: [rows_b].
        rows: of B; those that have read a part of a character, or before which A has no row, are
            left out.

    Returns:
        (rows of B, rows of A), of equal length
    """
    keys_a, keys_b = _keys(ends_a, windows_a), _keys(ends_b, windows_b)
    wanted = rows.numpy()
    before = np.searchsorted(keys_a, keys_b[wanted]) - 1
    last = np.ones(len(keys_b), dtype=bool)
    last[:-1] = keys_b[1:] != keys_b[:-1]
    same = (before >= 0) & (keys_a[before] // STRIDE == keys_b[wanted] // STRIDE)
    kept = same & last[wanted]
    return torch.from_numpy(wanted[kept]), torch.from_numpy(before[kept])


def rows_inside(
    side_a: tuple[Tensor, Tensor], side_b: tuple[Tensor, Tensor], rows_a: Tensor, rows_b: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of side A inside the token of B that comes next, where both have read as much.

    Places at which a token ends inside a character are left out.

    Args:
        side_a: of each row of A, the character up to which it has read, and its window.
        side_b: the same of B.
        rows_a: of A, those that pair [pairs].
        rows_b: of B, their partners [pairs].

    Returns:
        The numbers of such pairs, ascending [places]; the rows of A between each of them and the
        end of that token, in turn; and of each row its place, from 0.
    """
    keys_a, keys_b = _keys(*side_a), _keys(*side_b)
    whole = [np.append(keys[1:] != keys[:-1], True) for keys in (keys_a, keys_b)]  # no half letter
    following = np.minimum(rows_b.numpy() + 1, len(keys_b) - 1)
    begin = keys_b[rows_b.numpy()]
    ends = np.where(keys_b[following] // STRIDE == begin // STRIDE, keys_b[following], begin)
    first = rows_a.numpy() + 1
    counts = np.maximum(np.searchsorted(keys_a, ends) - first, 0)
    counts[~whole[1][following]] = 0
    inside = np.concatenate(
        [np.arange(f, f + n) for f, n in zip(first, counts, strict=True)] or [[]]
    )
    pairs = np.repeat(np.arange(len(counts)), counts)
    broken = np.unique(pairs[~whole[0][inside.astype(np.int64)]])
    kept = ~np.isin(pairs, broken)
    places, owners = np.unique(pairs[kept], return_inverse=True)
    found = places, inside[kept], owners
    return tuple(torch.from_numpy(x.astype(np.int64)) for x in found)  # pyright: ignore[reportReturnType]


def number_chunks(
    ends_a: Tensor, windows_a: Tensor, ends_b: Tensor, windows_b: Tensor
) -> tuple[Tensor, Tensor]:
    """The chunk of text that the next token of each row lies in, -1 for none.

    A chunk lies between two characters of a window at which tokens of both sides end, and between
    which there is no other such character; each side has one token in it, or several.

    Args:
        ends_a: [rows_a], the character up to which each row of side A has read.
        windows_a: [rows_a], the window of each row; both sides number the same texts.
        ends_b: [rows_b], the same for side B.
        windows_b: [rows_b].

    Returns:
        The numbers of chunks, from 0 in text order, [rows_a] and [rows_b].
    """
    sides = (_keys(ends_a, windows_a), _keys(ends_b, windows_b))
    shared = np.intersect1d(*sides)
    closed = np.zeros(len(shared), dtype=bool)  # whether the next one ends a chunk
    closed[:-1] = shared[1:] // STRIDE == shared[:-1] // STRIDE
    numbers = np.where(closed, np.cumsum(closed) - 1, -1)
    found_a, found_b = (_chunks(keys, shared, numbers) for keys in sides)
    return torch.from_numpy(found_a), torch.from_numpy(found_b)


def _chunks(keys: np.ndarray, shared: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    # Of tokens that end at one character only the last one ends a chunk there.
    last = np.ones(len(keys), dtype=bool)
    last[:-1] = keys[1:] != keys[:-1]
    place = np.searchsorted(shared, keys, side="right") - 1
    place = np.where(last, place, np.searchsorted(shared, keys, side="left") - 1)
    return np.where(place >= 0, numbers[np.maximum(place, 0)], -1) if len(shared) else place


def _last_rows(ends: Tensor, windows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    keys = _keys(ends, windows)
    unique, first_from_behind = np.unique(keys[::-1], return_index=True)
    return unique, len(keys) - 1 - first_from_behind


def _keys(ends: Tensor, windows: Tensor) -> np.ndarray:
    return (windows.to(torch.int64) * STRIDE + ends.to(torch.int64)).cpu().numpy()
