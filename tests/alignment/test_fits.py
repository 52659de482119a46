"""Procrustes, ridge, moments and the output map against known answers."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.procrustes import fit_principal, fit_procrustes
from transplant.alignment.ridge import fit_ridge
from transplant.alignment.tokens import SharedTokens
from transplant.alignment.unembedding import fit_output_map
from transplant.errors import InputError, NumericalError, ShapeError

pytestmark = pytest.mark.bits


def moments_of(x, y, parts=1):
    moments = CrossMoments(x.shape[1], y.shape[1])
    for a, b in zip(x.chunk(parts), y.chunk(parts), strict=True):
        moments.update(a, b)
    return moments


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(0)


def random_rotation(d, generator):
    return torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]


def test_rotation_recovers_a_known_one(noise):
    x = (
        torch.randn(200, 6, generator=noise, dtype=torch.float64)
        @ torch.diag(torch.arange(1.0, 7.0)).double()
    )
    known = random_rotation(6, noise)
    y = 2.5 * (x - 1.0) @ known + 3.0
    fitted = fit_procrustes(moments_of(x, y))
    torch.testing.assert_close(fitted.matrix, known, atol=1e-9, rtol=0)
    assert fitted.scale == pytest.approx(2.5)
    torch.testing.assert_close(fitted.as_affine()(x.float()), y.float(), atol=1e-3, rtol=1e-4)
    # The control: the transpose, the public fault, is far away.
    assert (fitted.matrix.T - known).abs().max() > 0.1


def test_rotation_is_orthogonal_even_on_noise(noise):
    x, y = (torch.randn(50, 5, generator=noise) for _ in range(2))
    matrix = fit_procrustes(moments_of(x, y)).matrix
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(5, dtype=torch.float64))


def test_rotation_between_other_widths_is_refused(noise):
    with pytest.raises(ShapeError, match="one width"):
        fit_procrustes(moments_of(torch.randn(9, 3, generator=noise), torch.randn(9, 4)))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e3])
def test_rows_that_are_all_the_same_have_no_scale(noise, value):
    same, y = torch.full((50, 4), value), torch.randn(50, 4, generator=noise)
    with pytest.raises(NumericalError, match="all the same"):
        fit_procrustes(moments_of(same, y))
    rotation = fit_procrustes(moments_of(same, y), scaled=False)
    assert torch.isfinite(rotation.as_affine().weight).all()
    near = same + 1e-3 * value * torch.randn(50, 4, generator=noise)
    if value:
        assert fit_procrustes(moments_of(near, y)).scale > 0


def test_ridge_recovers_a_known_affine_map(noise):
    x = torch.randn(500, 7, generator=noise) + 5.0
    known = AffineMap(torch.randn(7, 3, generator=noise), torch.randn(3, generator=noise))
    fitted = fit_ridge(moments_of(x, known(x)), 1e-9)
    torch.testing.assert_close(fitted.weight, known.weight, atol=1e-4, rtol=0)
    torch.testing.assert_close(fitted.bias, known.bias, atol=1e-3, rtol=0)


def test_ridge_equals_the_normal_equations(noise):
    x, y = (
        torch.randn(40, 5, generator=noise).double(),
        torch.randn(40, 2, generator=noise).double(),
    )
    strength = 0.3
    cx, cy = x - x.mean(0), y - y.mean(0)
    cov = cx.T @ cx / 40
    lam = strength * cov.diagonal().mean()
    expected = torch.linalg.solve(cov + lam * torch.eye(5), cx.T @ cy / 40)
    fitted = fit_ridge(moments_of(x, y), strength)
    torch.testing.assert_close(fitted.weight.double(), expected, atol=1e-6, rtol=0)


def test_a_stronger_ridge_gives_a_smaller_map(noise):
    moments = moments_of(torch.randn(40, 5, generator=noise), torch.randn(40, 2, generator=noise))
    norms = [fit_ridge(moments, s).weight.norm() for s in (1e-3, 1.0, 100.0)]
    assert norms == sorted(norms, reverse=True)


def test_ridge_survives_features_that_are_all_the_same(noise):
    x = torch.ones(30, 4)
    assert torch.isfinite(
        fit_ridge(moments_of(x, torch.randn(30, 2, generator=noise))).weight
    ).all()


def test_moments_do_not_depend_on_how_rows_are_split(noise):
    x, y = torch.randn(60, 4, generator=noise), torch.randn(60, 3, generator=noise)
    whole, parts = moments_of(x, y), moments_of(x, y, parts=7)
    merged = moments_of(x[:20], y[:20])
    merged.merge(moments_of(x[20:], y[20:]))
    for other in (parts, merged):
        assert other.count == 60
        torch.testing.assert_close(other.xx, whole.xx)
        torch.testing.assert_close(other.xy, whole.xy)


def test_moments_refuse_unpaired_or_infinite_rows():
    moments = CrossMoments(2, 2)
    with pytest.raises(ShapeError, match="paired rows"):
        moments.update(torch.ones(3, 2), torch.ones(4, 2))
    with pytest.raises(NumericalError, match="finite"):
        moments.update(torch.tensor([[float("nan"), 1.0]]), torch.ones(1, 2))
    assert moments.count == 0  # a refused batch leaves nothing behind
    with pytest.raises(NumericalError, match="too few"):
        moments.centred()


def test_r2_from_moments_equals_r2_from_rows(noise):
    x = torch.randn(300, 4, generator=noise)
    y = x @ torch.randn(4, 3, generator=noise) + 0.5 * torch.randn(300, 3, generator=noise)
    fitted = fit_ridge(moments_of(x[:200], y[:200]))
    held = y[200:]
    expected = 1 - ((held - fitted(x[200:])) ** 2).sum() / ((held - held.mean(0)) ** 2).sum()
    assert fitted.r2(moments_of(x[200:], held)) == pytest.approx(float(expected), abs=1e-5)
    nothing = AffineMap(torch.zeros(4, 3), torch.zeros(3))
    assert nothing.r2(moments_of(x[200:], held)) <= 0.0


def test_principal_directions_keep_the_variance(noise):
    x = torch.randn(400, 8, generator=noise) @ torch.diag(torch.tensor([9.0, 7, 5, 1, 1, 1, 1, 1]))
    projected = fit_principal(moments_of(x, x[:, :1]), 3)(x)
    assert projected.var(0).sum() > 0.95 * x.var(0).sum()
    torch.testing.assert_close(projected.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    with pytest.raises(ShapeError, match="more taps"):
        fit_principal(moments_of(x, x), 9)


def test_two_maps_fold_into_one(noise):
    first = AffineMap(torch.randn(5, 4, generator=noise), torch.randn(4, generator=noise))
    linear = torch.nn.Linear(4, 3)
    x = torch.randn(6, 5, generator=noise)
    torch.testing.assert_close(first.then(linear)(x), linear(first(x)), atol=1e-5, rtol=1e-5)
    copied = torch.nn.Linear(5, 4)
    first.write_to(copied)
    torch.testing.assert_close(copied(x), first(x), atol=1e-5, rtol=1e-5)


def test_output_map_undoes_a_rotation_of_the_head(noise):
    donor = torch.randn(50, 6, generator=noise)
    rotation = random_rotation(6, noise).float()
    target = (donor @ rotation)[torch.randperm(50, generator=torch.Generator().manual_seed(3))]
    order = torch.argsort(torch.randperm(50, generator=torch.Generator().manual_seed(3)))
    weights = torch.rand(50, dtype=torch.float64, generator=noise)
    shared = SharedTokens(torch.arange(50), order, weights / weights.sum(), 1.0)
    matrix = fit_output_map(donor, target, shared, 1e-9)
    torch.testing.assert_close(matrix, rotation, atol=1e-3, rtol=0)
    change = torch.randn(4, 6, generator=noise)
    torch.testing.assert_close(
        (change @ matrix) @ target[order].T, change @ donor.T, atol=1e-2, rtol=1e-3
    )


def test_output_map_follows_the_weights(noise):
    donor, target = torch.randn(40, 6, generator=noise), torch.randn(40, 3, generator=noise)
    ids = torch.arange(40)

    def error_on_first(weights):
        shared = SharedTokens(ids, ids, weights / weights.sum(), 1.0)
        matrix = fit_output_map(donor, target, shared)
        u_t, u_d = (u[:5] - u[:5].mean(0) for u in (target, donor))
        return float(((u_t @ matrix.T - u_d) ** 2).sum())

    flat, peaked = torch.ones(40).double(), torch.ones(40).double()
    peaked[:5] = 1000.0
    assert error_on_first(peaked) < error_on_first(flat)


def test_output_map_without_shared_tokens_is_refused():
    none = SharedTokens(torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(0).double(), 0.0)
    with pytest.raises(NumericalError, match="share too few"):
        fit_output_map(torch.ones(3, 2), torch.ones(3, 2), none)
    with pytest.raises(InputError, match="positive"):
        fit_ridge(moments_of(torch.randn(4, 2), torch.randn(4, 2)), 0.0)


def test_moments_come_back_from_a_file_as_they_were(tmp_path):
    moments = CrossMoments(3, 2)
    moments.update(torch.randn(9, 3), torch.randn(9, 2))
    save_file(moments.as_tensors(), tmp_path / "moments.safetensors")
    again = CrossMoments.from_tensors(load_file(tmp_path / "moments.safetensors"))
    assert again.count == 9
    for ours, theirs in zip(moments.centred(), again.centred(), strict=True):
        assert torch.equal(ours, theirs)
    whole = CrossMoments(3, 2)
    whole.merge(again)
    assert torch.equal(whole.xy, moments.xy)
    tensors = moments.as_tensors()
    with pytest.raises(ShapeError, match="yy"):
        CrossMoments.from_tensors({**tensors, "yy": torch.zeros(5)})
    del tensors["xx"]
    with pytest.raises(ShapeError, match="not whole"):
        CrossMoments.from_tensors(tensors)
