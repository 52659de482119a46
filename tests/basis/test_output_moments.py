"""Moments are summed once for maps that read the same, and are those of their outputs."""

from __future__ import annotations

import pytest
import torch

from tests.basis.tiny_basis import rows_one_by_one
from transplant.basis.config import GRADIENTS, FitConfig
from transplant.basis.fit import fit_basis, moments_of, solve
from transplant.basis.gradients import fit_gradients, gradients_bytes
from transplant.basis.maps import LinearMap, select_maps
from transplant.basis.output_moments import OutputMoments, at_inputs, statistics_bytes
from transplant.basis.shared import groups_by_input, start_of
from transplant.basis.spectrum import eigenbasis
from transplant.errors import BackboneError


def groups_of(backbone, windows):
    maps = select_maps(backbone)
    found = groups_by_input(maps, lambda: backbone.read([start_of(windows[0])]))
    return maps, [[m.type.rpartition(".")[2] for m in group] for group in found], found


@pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("llama", [["q_proj", "k_proj", "v_proj"], ["o_proj"], ["gate_proj", "up_proj"],
                   ["down_proj"]]),
        ("gpt2", [["c_attn"], ["c_proj"], ["c_fc"], ["c_proj"]]),
    ],
)  # fmt: skip
def test_maps_that_read_one_input_are_found(backbones, windows, family, layer):
    backbone = backbones(family)
    maps, names, groups = groups_of(backbone, windows)
    assert names == layer * backbone.n_layers
    assert [m for group in groups for m in group] == maps


def test_states_of_the_encoder_are_read_by_all_layers_of_the_decoder(backbones, windows):
    backbone = backbones("t5")
    maps, _, groups = groups_of(backbone, windows)
    across = [m for m in maps if ".EncDecAttention." in m.name and m.name[-1] in "kv"]
    assert across
    assert tuple(across) in groups
    assert sorted(m.name for group in groups for m in group) == sorted(m.name for m in maps)


def test_a_map_that_is_not_called_is_named_before_text_is_read(backbones, windows, monkeypatch):
    backbone = backbones("llama")
    maps = select_maps(backbone)
    unused = torch.nn.Linear(4, 3)  # as a map is whose weights alone are used, by a kernel
    more = [*maps, LinearMap("layers.1.mixer.dt_proj", unused, 3, 4)]
    asked, read = [], backbone.read
    monkeypatch.setattr(backbone, "read", lambda some: asked.append(len(some)) or read(some))
    with pytest.raises(BackboneError, match="1 of 15 maps are not called") as told:
        moments_of(backbone, more, windows)
    assert told.value.found == "layers.1.mixer.dt_proj"
    assert asked == [1]
    moments_of(backbone, maps, windows)  # the control
    assert sum(asked) == 2 + len(windows)


def test_equal_values_in_another_tensor_are_not_one_input(backbones, windows):
    backbone = backbones("llama")
    maps, _, groups = groups_of(backbone, windows)
    copied = maps[1].module.register_forward_pre_hook(lambda _m, args: (args[0].clone(),))
    try:
        _, _, apart = groups_of(backbone, windows)
    finally:
        copied.remove()
    assert len(apart) == len(groups) + 1
    assert (maps[1],) in apart


def test_the_narrower_side_is_summed_and_the_moment_is_that_of_the_outputs(backbones, windows):
    backbone = backbones("llama")
    maps, _, groups = groups_of(backbone, windows)
    found = moments_of(backbone, maps, windows)
    ways = [at_inputs(group) for group in groups]
    assert {*ways} == {True, False}
    for group in groups:
        sums = {id(found[m.name].seen) for m in group}
        assert len(sums) == (1 if at_inputs(group) else len(group))
        for m in group:
            _, y = rows_one_by_one(backbone, m, windows)
            exact = y.T @ y / len(y)
            assert (found[m.name].mean() - exact).abs().max() <= 1e-5 * exact.abs().max()


def test_the_spectrum_is_that_of_the_moment(backbones, windows):
    backbone = backbones("llama")
    maps = select_maps(backbone)
    config = FitConfig(max_rank=8)
    basis = fit_basis(backbone, maps, windows, config)
    moments = moments_of(backbone, maps, windows)
    for name, spectrum in basis.spectra.items():
        direct = eigenbasis(moments[name].mean(), floor=config.floor, max_rank=8)
        assert spectrum.kept == direct.kept
        gap = (spectrum.energies - direct.energies).abs().max()
        assert gap <= 1e-9 * direct.energies[0]
        kept = spectrum.vectors.T @ moments[name].mean() @ spectrum.vectors
        off = kept - torch.diag(direct.energies[: direct.kept])
        assert off.abs().max() <= 1e-8 * direct.energies[0]


def test_two_shards_are_one(backbones, windows):
    backbone = backbones("llama")
    maps, _, groups = groups_of(backbone, windows)
    whole, one, two = (OutputMoments(groups, backbone.device) for _ in range(3))
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(2, 30, dtype=torch.bool)
    read = {}
    for group in groups:
        x = torch.randn(2, 30, group[0].into, generator=generator)
        read |= {m.name: x * torch.logspace(-3, 3, m.into) for m in group}
    for m in maps:
        x = read[m.name]
        y = m.module(x)
        whole.see(m, x, y, mask)
        one.see(m, x[:, :11], y[:, :11], mask[:, :11])
        two.see(m, x[:, 11:], y[:, 11:], mask[:, 11:])
    one.merge(two)
    for m in maps:
        scale = whole[m.name].mean().abs().max()
        assert one[m.name].count == whole[m.name].count == 60
        assert (one[m.name].mean() - whole[m.name].mean()).abs().max() <= 1e-10 * scale
        assert (two[m.name].mean() - whole[m.name].mean()).abs().max() > 1e-6 * scale  # control


def test_outputs_are_summed_where_weights_are_not_in_memory(near_and_far, windows):
    near, far = near_and_far
    maps = select_maps(far)
    found = moments_of(far, maps, windows)
    exact = moments_of(near, select_maps(near), windows)
    assert not any(one.at_inputs for one in found.values())
    assert any(one.at_inputs for one in exact.values())
    for name, one in found.items():
        whole = exact[name].mean()
        assert (one.mean() - whole).abs().max() <= 1e-5 * whole.abs().max()


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("max_rank", [4, 256])
def test_what_is_promised_of_memory_holds_all_sums_and_what_is_found(
    near_and_far, windows, on_disk, max_rank
):
    backbone = near_and_far[on_disk]
    maps = select_maps(backbone)
    moments = moments_of(backbone, maps, windows)
    taken = {id(one.seen): one.seen.yy.numel() * 8 for one in moments.values()}
    for spectrum in solve(moments, FitConfig(max_rank=max_rank)).spectra.values():
        taken[id(spectrum)] = spectrum.vectors.numel() * 8
    largest = max(m.out * m.into for m in maps)
    solution = 48 * min(m.out for m in maps) ** 2  # at least
    assert sum(taken.values()) + 16 * largest + solution <= statistics_bytes(maps, max_rank)


@pytest.mark.parametrize("max_rank", [4, 256])
def test_what_is_promised_of_memory_holds_gradients_and_their_directions(
    backbones, windows, max_rank
):
    backbone = backbones("llama")
    maps, _, groups = groups_of(backbone, windows)
    config = FitConfig(directions=GRADIENTS, max_rank=max_rank)
    found = fit_gradients(backbone, maps, windows, windows, config)
    taken = sum(8 * one.vectors.numel() for one in found.spectra.values())
    taken += sum(4 * m.out * m.into for m in maps)  # G
    taken += sum(8 * group[0].into ** 2 for group in groups)  # S
    assert taken <= gradients_bytes(maps, max_rank)
