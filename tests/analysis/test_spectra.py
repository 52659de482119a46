"""Spectra whose values are known."""

from __future__ import annotations

import math

import pytest
import torch

from transplant.analysis.spectra import Spectrum, map_spectrum, state_spectrum
from transplant.errors import NumericalError


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_even_values_are_as_many_directions_as_there_are():
    found = map_spectrum(torch.eye(7))
    assert (found.effective_rank, found.participation, found.stable_rank) == pytest.approx((7,) * 3)
    alone = map_spectrum(torch.ones(5, 9))
    assert alone.effective_rank == pytest.approx(1.0, abs=1e-5)
    assert alone.dimensions == 5


def test_values_and_entropy_are_those_of_the_definition():
    values = torch.tensor([4.0, 3.0, 1.0])
    found = Spectrum.of(values)
    shares = values / 8
    entropy = -float((shares * shares.log()).sum())
    assert found.effective_rank == pytest.approx(math.exp(entropy))
    assert found.participation == pytest.approx(64 / 26)
    assert found.stable_rank == pytest.approx(2.0)
    assert Spectrum.of(values, squared=True).stable_rank == pytest.approx(26 / 16)
    assert Spectrum.of(torch.zeros(3)).effective_rank == 0


def test_a_product_of_maps_has_the_spectrum_of_the_whole():
    a, b, c = normal(30, 4), normal(4, 20, seed=1), normal(20, 6, seed=2)
    expected = torch.linalg.svdvals(a @ b @ c)
    found = map_spectrum(a, b, c)
    assert found.largest[:4] == pytest.approx(expected[:4].tolist())
    assert found.effective_rank <= 4 + 1e-6


def test_states_along_few_directions_have_few():
    states = normal(2_000, 3) @ normal(3, 40, seed=1)
    found = state_spectrum(states.T @ states / 2_000)
    assert found.effective_rank <= 3 + 1e-6
    assert found.effective_rank > 2
    assert state_spectrum(torch.eye(40)).effective_rank == pytest.approx(40)


def test_what_is_not_finite_has_no_spectrum():
    with pytest.raises(NumericalError, match="finite"):
        Spectrum.of(torch.tensor([1.0, float("nan")]))
