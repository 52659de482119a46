"""Which rows of two files have read the same text."""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.activations.reader import Activations
from transplant.text.offsets import match_positions


def aligned_pairs(a: Activations, b: Activations) -> tuple[Tensor, Tensor]:
    """Rows of two files that have read the same document up to the same character.

    Documents are the same where their digests are. Of several rows that end at one character, the
    last one counts, as in `match_positions`.

    Returns:
        (rows of a, rows of b), int64 of equal length, in the order of a's text.

    Raises:
        InputError: a file whose rows are pooled windows.
    """
    for side in (a, b):
        side.check_holds(())
    number = {digest: n for n, digest in enumerate(a.digests)}
    ends_a, documents_a, rows_a = _keys(a, number)
    ends_b, documents_b, rows_b = _keys(b, number)
    pairs_a, pairs_b = match_positions(ends_a, documents_a, ends_b, documents_b)
    return rows_a[pairs_a], rows_b[pairs_b]


def _keys(side: Activations, number: dict[str, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Ends, numbers of documents, and rows; of those rows whose document has a number."""
    numbers = torch.tensor([number.get(digest, -1) for digest in side.digests], dtype=torch.int64)
    tokens = side.tokens()
    documents = numbers[torch.from_numpy(side.document).long()[tokens.windows]]
    rows = torch.nonzero(documents >= 0).flatten()
    return tokens.ends[rows], documents[rows], rows
