"""Linear CKA: its invariances, and what unrelated rows have."""

from __future__ import annotations

import pytest
import torch

from transplant.analysis.similarity import centred_kernel, kernel_alignment, linear_cka, shuffled
from transplant.errors import ShapeError


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def plain_cka(x, y) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    return float((x.T @ y).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm()))


def unbiased_hsic(k, m) -> float:
    """Song et al. 2012, equation 5, as it stands there."""
    n = len(k)
    k, m = k - k.diag().diag(), m - m.diag().diag()
    one = torch.ones(n, dtype=k.dtype)
    middle = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return float((k @ m).trace() + middle - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))


def test_turned_and_scaled_rows_are_the_same_layer():
    x = normal(60, 10, seed=0)
    turn = torch.linalg.qr(normal(10, 10, seed=1))[0]
    assert linear_cka(x, 3 * x @ turn + 5) == pytest.approx(1.0)
    assert linear_cka(x, x @ normal(10, 10, seed=2)) < 0.99


def test_unrelated_rows_are_alike_by_nothing_where_the_plain_measure_says_otherwise():
    x, y = normal(50, 400, seed=0), normal(50, 400, seed=1)
    assert plain_cka(x, y) > 0.8
    assert abs(linear_cka(x, y)) < 0.1
    kernel = centred_kernel(x)
    assert abs(kernel_alignment(kernel, shuffled(kernel, 0))) < 0.1


def test_it_is_the_ratio_of_unbiased_estimates():
    x, y = normal(40, 6, seed=0), normal(40, 6, seed=1)
    y = y + x
    k, m = x @ x.T, y @ y.T
    expected = unbiased_hsic(k, m) / (unbiased_hsic(k, k) * unbiased_hsic(m, m)) ** 0.5
    assert linear_cka(x, y) == pytest.approx(expected)


def test_rows_without_partners_are_refused():
    with pytest.raises(ShapeError, match="paired rows"):
        linear_cka(normal(10, 3, seed=0), normal(11, 3, seed=0))
    with pytest.raises(ShapeError, match="8 or more"):
        linear_cka(normal(7, 3, seed=0), normal(7, 3, seed=0))
    assert linear_cka(torch.zeros(9, 2), normal(9, 2, seed=0)) == 0
