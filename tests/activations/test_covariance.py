"""Streamed covariances against whole ones, merged and seen through a test matrix."""

from __future__ import annotations

import pytest
import torch

from transplant.activations import covariance
from transplant.activations.covariance import TapCovariance
from transplant.errors import NumericalError, ShapeError

pytestmark = pytest.mark.bits
WIDTH = 96


@pytest.fixture
def rows():
    """Rows whose variances fall off as those of hidden states do, off the origin."""
    draw = torch.Generator().manual_seed(0)
    turned, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=draw))
    spread = torch.arange(1, WIDTH + 1).float() ** -1.0
    return torch.randn(700, WIDTH, generator=draw) * spread @ turned + 3.0


def seen(rows, directions, parts=1, seed=0):
    found = TapCovariance(rows.shape[1], directions, seed)
    for part in rows.chunk(parts):
        found.update(part)
    return found


def captured(rows, vectors):
    centred = rows.double() - rows.double().mean(0)
    return float(((centred @ vectors) ** 2).sum() / (centred**2).sum())


def test_the_leading_directions_are_those_of_the_covariance(rows):
    found = seen(rows, 10).directions(10)
    values, vectors = torch.linalg.eigh(torch.cov(rows.double().T, correction=0))
    torch.testing.assert_close(found.variances, values.flip(0)[:10])
    alike = (found.vectors.T @ vectors.flip(1)[:, :10]).diagonal().abs()
    torch.testing.assert_close(alike, torch.ones_like(alike))
    assert found.rest == pytest.approx(float(values.flip(0)[10:].mean()))
    torch.testing.assert_close(found.mean, rows.double().mean(0))


def test_one_pass_through_a_test_matrix_finds_nearly_as_much(rows, monkeypatch):
    best = captured(rows, seen(rows, 10).directions(10).vectors)
    monkeypatch.setattr(covariance, "WHOLE", 32)
    monkeypatch.setattr(covariance, "OVERSAMPLED", 20)
    sketched = seen(rows, 10)
    assert sketched.xx.shape == (WIDTH, 30)
    found = sketched.directions(10)
    assert captured(rows, found.vectors) > 0.98 * best
    torch.testing.assert_close(found.vectors.T @ found.vectors, torch.eye(10).double())
    draw = torch.Generator().manual_seed(1)
    random, _ = torch.linalg.qr(torch.randn(WIDTH, 10, generator=draw, dtype=torch.float64))
    assert captured(rows, random) < 0.5 * best


@pytest.mark.parametrize("whole", [1024, 32])
def test_parts_merge_to_the_whole(rows, monkeypatch, whole):
    monkeypatch.setattr(covariance, "WHOLE", whole)
    monkeypatch.setattr(covariance, "OVERSAMPLED", 20)
    one, first, second = seen(rows, 8), seen(rows[:300], 8), seen(rows[300:], 8, parts=3)
    first.merge(second)
    assert first.count == one.count
    torch.testing.assert_close(first.xx, one.xx)
    torch.testing.assert_close(first.directions(8).variances, one.directions(8).variances)
    half = seen(rows[300:], 8)
    assert not torch.allclose(half.directions(8).variances, one.directions(8).variances)
    with pytest.raises(ShapeError, match="add up"):
        first.merge(seen(rows, 8, seed=1))


def test_what_cannot_be_a_covariance_is_refused(rows):
    with pytest.raises(NumericalError, match="too few rows"):
        seen(rows[:1], 4).directions(4)
    with pytest.raises(NumericalError, match="not finite"):
        seen(rows.new_full((3, WIDTH), float("nan")), 4)
    with pytest.raises(ShapeError, match="rows of a tap"):
        seen(rows, 4).update(rows[:, :5])
