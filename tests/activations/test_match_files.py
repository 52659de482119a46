"""Rows of two files that have read the same text."""

from __future__ import annotations

import dataclasses
import hashlib
import random

import numpy as np
import pytest
import torch

from tests.activations.tiny_files import make_header, make_tokens, write_file
from transplant.activations.layout import TokenTable
from transplant.activations.match_files import aligned_pairs
from transplant.activations.reader import Activations
from transplant.errors import InputError


def tokenized(texts, draw, *, skip=0.0, window=40):
    """A table of tokens that end at random characters; some at the same one, as bytes do.

    Args:
        texts: name -> number of characters, in the order of the file.
        draw: the randomness.
        skip: the share of rows that a window does not have, at its front, as in T5.
        window: tokens in a window.
    """
    ends, lengths, document = [], [], []
    for number, length in enumerate(texts.values()):
        of_one = sorted(draw.choices(range(1, length + 1), k=length // 2))
        for start in range(0, len(of_one), window):
            kept = of_one[start : start + window]
            kept = kept[int(len(kept) * skip) :]
            ends += kept
            lengths.append(len(kept))
            document.append(number)
    rows = len(ends)
    return TokenTable(
        ids=np.zeros(rows, np.int32),
        labels=np.zeros(rows, np.int32),
        ends=np.array(ends, np.int32),
        first_row=np.cumsum([0, *lengths]).astype(np.int64),
        document=np.array(document, np.int32),
        digests=tuple(hashlib.sha256(name.encode()).hexdigest() for name in texts),
    )


def oracle(a: TokenTable, b: TokenTable) -> list[tuple[int, int]]:
    def last_rows(table: TokenTable) -> dict[tuple[str, int], int]:
        rows = {}
        for window, (first, last) in enumerate(
            zip(table.first_row, table.first_row[1:], strict=False)
        ):
            for row in range(first, last):
                rows[table.digests[table.document[window]], int(table.ends[row])] = row
        return rows

    of_a, of_b = last_rows(a), last_rows(b)
    return sorted((row, of_b[key]) for key, row in of_a.items() if key in of_b)


@pytest.mark.parametrize("skip", [0.0, 0.5])
def test_aligned_pairs_are_those_of_brute_force(tmp_path, skip):
    draw = random.Random(skip)
    texts = {f"text {n}": draw.randrange(2, 400) for n in range(12)}
    other = dict(draw.sample([*texts.items(), ("only b", 90), ("empty", 1)], 11))
    a, b = tokenized(texts, draw), tokenized(other, draw, skip=skip, window=25)
    header = make_header(taps=("0",), widths=(2,))
    paths = [write_file(tmp_path / f"{n}.h5", header, t) for n, t in enumerate((a, b))]
    with Activations.open(paths[0]) as left, Activations.open(paths[1]) as right:
        rows_a, rows_b = aligned_pairs(left, right)
        pairs = list(zip(rows_a.tolist(), rows_b.tolist(), strict=True))
        assert pairs == oracle(a, b)
        assert len(pairs) > 50
        assert rows_a.dtype == rows_b.dtype == torch.int64
        back = aligned_pairs(right, left)
        assert sorted(zip(*[rows.tolist() for rows in back[::-1]], strict=True)) == sorted(pairs)
        itself = aligned_pairs(left, left)
        assert torch.equal(*itself)


def test_files_of_other_texts_do_not_pair(tmp_path):
    header, tokens = make_header(), make_tokens()
    one = write_file(tmp_path / "a.h5", header, tokens)
    two = write_file(tmp_path / "b.h5", header, make_tokens(name="other"))
    with Activations.open(one) as a, Activations.open(two) as b:
        assert [len(rows) for rows in aligned_pairs(a, b)] == [0, 0]
    pooled = write_file(tmp_path / "c.h5", dataclasses.replace(header, pool="mean"), tokens)
    with Activations.open(one) as a, Activations.open(pooled) as b:
        for sides in ((a, b), (b, a)):
            with pytest.raises(InputError, match=r"c\.h5 are windows: expected `pool='none'`"):
                aligned_pairs(*sides)
