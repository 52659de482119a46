"""rows' rows by halves: the same sum, at any width."""

from __future__ import annotations

import pytest
import torch

from transplant.activations.gram import BLOCK, PARTS, add_gram

WIDE = PARTS * (BLOCK + 1)


@pytest.mark.parametrize("width", [1, 7, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 3, WIDE])
def test_it_adds_what_the_whole_product_is(width):
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(width, width, dtype=torch.float64)
    blocks = [torch.randn(n, width, generator=generator, dtype=torch.float64) for n in (5, 1, 9)]
    for rows in blocks:
        add_gram(total, rows)
    every = torch.cat(blocks)
    torch.testing.assert_close(total, every.T @ every)
    torch.testing.assert_close(total, total.T, rtol=1e-12, atol=1e-12)
