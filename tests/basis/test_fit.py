"""Fitting: the moment of every map is that of its products at token positions, padding left out."""

from __future__ import annotations

import pytest
import torch

from tests.basis.tiny_basis import ragged_windows, rows_one_by_one
from transplant.basis.config import FitConfig
from transplant.basis.fit import basis_from_tensors, check_tokens, fit_basis, moments_of
from transplant.basis.maps import select_maps
from transplant.errors import BackboneError, InputError, NumericalError
from transplant.ranks import Ranks

FAMILIES = [
    "gpt2", "llama", "gemma3_text", "gemma3", "t5", "t5-untied", "opt-projected", "layercake",
    "qwen2", "mixtral",
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_are_those_of_windows_read_alone(backbones, windows, family):
    backbone = backbones(family)
    maps = select_maps(backbone)
    found = moments_of(backbone, maps, windows)
    for of in maps[:: max(1, len(maps) // 6)]:
        _, y = rows_one_by_one(backbone, of, windows)
        exact = y.T @ y / len(y)
        assert found[of.name].count == len(y)
        assert (found[of.name].mean() - exact).abs().max() <= 1e-5 * exact.abs().max()


def test_the_moment_sees_neither_bias_nor_padding(backbones, windows):
    backbone = backbones("gpt2")
    of = select_maps(backbone, "mlp.c_fc")[0]
    moment = moments_of(backbone, [of], windows)[of.name].mean()
    _, y = rows_one_by_one(backbone, of, windows)
    shifted = y + 0.1  # control: a bias would be seen
    assert (shifted.T @ shifted / len(y) - moment).abs().max() > 1e-3
    assert sum(map(len, windows)) < len(windows) * max(map(len, windows))  # there is padding


def test_two_processes_see_what_one_sees(backbones, windows):
    backbone = backbones("llama")
    maps = select_maps(backbone)
    whole = moments_of(backbone, maps, windows)
    parts = [
        moments_of(backbone, maps, [windows[i] for i in Ranks(number, 2).turns(len(windows))])
        for number in range(2)
    ]
    parts[0].merge(parts[1])
    for name, moment in whole.items():
        scale = moment.mean().abs().max()
        # Other batches round the products of float32 otherwise; the sums are exact.
        assert (parts[0][name].mean() - moment.mean()).abs().max() <= 1e-6 * scale
        assert parts[0][name].count == moment.count


def test_a_basis_is_read_back(backbones, windows):
    backbone = backbones("llama")
    basis = fit_basis(backbone, select_maps(backbone), windows, FitConfig(max_rank=5))
    again = basis_from_tensors(basis.stored(), basis.rows)
    for name, spectrum in basis.spectra.items():
        assert spectrum.kept == 5
        assert torch.allclose(again.spectra[name].vectors.double(), spectrum.vectors, atol=1e-6)
        assert torch.equal(again.spectra[name].energies, spectrum.energies)


def test_hooks_are_gone_after_an_error(backbones, windows):
    backbone = backbones("llama")
    maps = select_maps(backbone)
    weight = maps[0].module.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight[0, 0] = torch.nan
    try:
        with pytest.raises(NumericalError, match=maps[0].name):
            moments_of(backbone, maps, windows)
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert not any(module._forward_hooks for module in backbone.model.modules())
    assert not any(module._forward_pre_hooks for module in backbone.model.modules())


def test_too_few_tokens_are_refused(backbones):
    windows = ragged_windows(300, 2)
    tokens = sum(map(len, windows))
    check_tokens(backbones("llama"), windows, tokens, tokens)
    for family, wanted in (("llama", tokens + 1), ("t5", tokens)):  # T5 has half of the rows
        with pytest.raises(InputError, match="too few tokens"):
            check_tokens(backbones(family), windows, tokens, wanted)


def test_rows_that_are_no_positions_are_refused(backbones, windows, monkeypatch):
    backbone = backbones("llama")
    of = select_maps(backbone)[0]
    forward = type(of.module).forward
    monkeypatch.setattr(of.module, "forward", lambda x: forward(of.module, x)[:, :-1])
    monkeypatch.setattr(backbone, "read", lambda _windows: backbone_call(backbone, windows, of))
    with pytest.raises(BackboneError, match="does not read each position"):
        moments_of(backbone, [of], windows)


def backbone_call(backbone, windows, of):
    """The stack begins, and the map is called with too few rows."""
    for hook in backbone.reader()._forward_pre_hooks.values():
        mask = torch.ones(1, len(windows[0]), dtype=torch.long)
        hook(backbone.reader(), (), {"attention_mask": mask})
    of.module(torch.randn(1, len(windows[0]), of.into))
