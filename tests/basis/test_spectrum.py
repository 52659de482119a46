"""The eigenbasis: optimal, orthonormal where the moment is not, and found after a failure."""

from __future__ import annotations

import pytest
import torch

from transplant.basis.spectrum import eigenbasis, eigenbasis_of_product, root_of
from transplant.errors import NumericalError


def moment_of(seed: int, width: int = 10, rank: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(rank, width, generator=generator, dtype=torch.float64)
    y = torch.randn(80, rank, generator=generator, dtype=torch.float64) @ mix
    return y, y.T @ y / len(y)


@pytest.mark.parametrize("seed", range(6))
def test_the_truncation_error_is_the_sum_of_the_dropped_energies_and_no_basis_has_less(seed):
    y, moment = moment_of(seed)
    spectrum = eigenbasis(moment)
    for rank in (0, 1, 4, 9):
        u = spectrum.vectors[:, :rank]
        error = float((y - y @ u @ u.T).square().sum(1).mean())
        assert error == pytest.approx(spectrum.error(rank), rel=1e-9)
        other = torch.linalg.qr(torch.randn(10, 10, dtype=torch.float64))[0][:, :rank]
        if rank:  # control: a basis that does not know the data
            assert float((y - y @ other @ other.T).square().sum(1).mean()) > 1.01 * error


def test_directions_under_the_floor_are_dropped():
    _, moment = moment_of(0, rank=4)
    assert eigenbasis(moment).kept == 4
    assert eigenbasis(moment, floor=0.0).kept >= 4
    assert eigenbasis(moment, max_rank=2).kept == 2
    assert eigenbasis(torch.zeros(5, 5, dtype=torch.float64)).kept == 0


@pytest.mark.parametrize("rank", [0, 3, 10])  # of rows x, which are 10 wide
@pytest.mark.parametrize("out", [4, 10, 25])
@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_the_basis_of_a_product_is_that_of_its_moment(rank, out, shrinkage):
    _, moment = moment_of(3, rank=max(rank, 1))
    moment = moment * bool(rank)
    generator = torch.Generator().manual_seed(out)
    weight = torch.randn(out, 10, generator=generator, dtype=torch.float64)
    weight *= torch.logspace(-1, 1, out, dtype=torch.float64)[:, None]
    settings = {"floor": 1e-9, "shrinkage": shrinkage, "max_rank": 6}
    direct = eigenbasis(weight @ moment @ weight.T, **settings)
    found = eigenbasis_of_product(weight @ root_of(moment), **settings)
    scale = direct.energies.sum().clamp_min(1e-300)
    assert ((found.energies - direct.energies).abs() <= 1e-10 * scale).all()
    assert found.kept == min(rank, out, 6)
    assert direct.kept == (min(out, 6) if shrinkage and rank else found.kept)  # of no energy, too
    u, v = found.vectors, direct.vectors[:, : found.kept]
    unit = torch.eye(found.kept, dtype=torch.float64)
    assert torch.allclose(u.T @ u, unit, atol=1e-12)
    inside = (u * found.energies[: found.kept]) @ u.T - (v * direct.energies[: found.kept]) @ v.T
    assert (inside.abs() <= 1e-9 * scale).all()
    if rank:  # control: of another W the energies are others
        other = eigenbasis_of_product(weight.flip(1) @ root_of(moment), **settings)
        assert ((other.energies - direct.energies).abs() > 1e-6 * scale).any()


def test_shrinkage_moves_energies_towards_their_mean_and_no_direction():
    _, moment = moment_of(1)
    plain, shrunk = eigenbasis(moment), eigenbasis(moment, shrinkage=0.3)
    assert torch.equal(plain.vectors, shrunk.vectors)
    assert shrunk.energies.sum() == pytest.approx(float(plain.energies.sum()))
    expected = 0.7 * plain.energies + 0.3 * plain.energies.mean()
    assert torch.allclose(shrunk.energies, expected)


def test_a_rounded_asymmetry_and_any_scale_do_no_harm():
    _, moment = moment_of(2)
    crooked = moment.clone()
    crooked[0, 1] += 1e-12
    for scale in (1e-200, 1e200):
        found = eigenbasis(crooked * scale)
        assert torch.allclose(found.energies / scale, eigenbasis(moment).energies)


def test_a_solver_that_fails_is_tried_again(monkeypatch):
    _, moment = moment_of(3)
    exact, solve, calls = eigenbasis(moment), torch.linalg.eigh, []

    def failing(matrix, times):
        calls.append(matrix)
        if len(calls) <= times:
            raise torch.linalg.LinAlgError("did not converge")
        return solve(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: failing(matrix, 2))
    found = eigenbasis(moment)
    assert len(calls) == 3
    assert torch.allclose(found.energies, exact.energies, atol=1e-9)
    calls.clear()
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: failing(matrix, 99))
    with pytest.raises(NumericalError, match="did not converge"):
        eigenbasis(moment)
    monkeypatch.setattr(torch.linalg, "eigh", solve)
    with pytest.raises(NumericalError, match="NaN"):
        eigenbasis(moment * torch.nan)
