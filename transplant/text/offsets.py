"""Pairing token positions of two tokenizations by character offset."""

from __future__ import annotations

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


def _last_rows(ends: Tensor, windows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    keys = (windows.to(torch.int64) * STRIDE + ends.to(torch.int64)).cpu().numpy()
    unique, first_from_behind = np.unique(keys[::-1], return_index=True)
    return unique, len(keys) - 1 - first_from_behind
