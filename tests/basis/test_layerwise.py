"""Layer by layer: the same basis, in memory for one layer, and continued where it was killed."""

from __future__ import annotations

import pytest
import torch

from transplant.basis import layerwise
from transplant.basis.boundaries import Place
from transplant.basis.by_layer import fit_by_layer
from transplant.basis.config import FitConfig
from transplant.basis.fit import fit_basis
from transplant.basis.maps import select_maps
from transplant.basis.one_layer import layers_of
from transplant.errors import BackboneError, CorruptError, InputError

CONFIG = FitConfig(max_rank=6)


def assert_same(one, two):
    assert one.rows == two.rows
    for name, spectrum in one.spectra.items():
        other = two.spectra[name]
        scale = spectrum.energies[0]
        assert (spectrum.energies - other.energies).abs().max() < 1e-4 * scale
        k = min(3, spectrum.kept)
        turned = spectrum.vectors[:, :k].double().T @ other.vectors[:, :k].double()
        assert torch.allclose(turned.diagonal().abs(), torch.ones(k).double(), atol=1e-2)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3_text", "qwen2", "gpt_neox"])
def test_it_is_the_basis_of_one_reading(backbones, windows, tmp_path, family):
    backbone = backbones(family)
    maps = select_maps(backbone)
    place = Place(tmp_path / "run", {"a": 1})
    with backbone.frozen():
        found = fit_by_layer(backbone, maps, windows, CONFIG, place)
    assert_same(fit_basis(backbone, maps, windows, CONFIG), found)
    assert not [*place.folder.glob("boundary-*")]
    assert not any("forward" in vars(m) for m in layers_of(backbone))


def test_layers_on_the_disk_are_read_once_each(near_and_far, windows, tmp_path):
    near, far = near_and_far
    maps = select_maps(far)
    assert maps[0].weight.is_meta
    found = fit_by_layer(far, maps, windows, CONFIG, Place(tmp_path / "run", {}))
    assert_same(fit_basis(near, select_maps(near), windows, CONFIG), found)
    assert maps[0].weight.is_meta  # nothing stays in memory


@pytest.mark.parametrize("family", ["llama", "gptj"])  # one whose layers hand on a tuple
def test_a_killed_run_goes_on_at_the_first_layer_that_is_not_done(
    backbones, windows, tmp_path, monkeypatch, family
):
    backbone = backbones(family)
    maps = select_maps(backbone)
    place, fit, calls = Place(tmp_path / "run", {"a": 1}), layerwise._fit_layer, []

    def failing(layers, number, *more):
        calls.append(number)
        if calls == [0, 1]:
            raise KeyboardInterrupt
        return fit(layers, number, *more)

    monkeypatch.setattr(layerwise, "_fit_layer", failing)
    with pytest.raises(KeyboardInterrupt):
        fit_by_layer(backbone, maps, windows, CONFIG, place)
    found = fit_by_layer(backbone, maps, windows, CONFIG, place)
    assert calls == [0, 1, 1]
    assert_same(fit_basis(backbone, maps, windows, CONFIG), found)
    with pytest.raises(InputError, match="another run"):
        fit_by_layer(backbone, maps, windows, CONFIG, Place(place.folder, {"a": 2}))
    (place.folder / "run.json").write_text("{")
    with pytest.raises(CorruptError, match=r"does not say which run.*Try: remove .*run, and"):
        place.open()


def test_an_encoder_decoder_is_refused(backbones, windows, tmp_path):
    backbone = backbones("t5")
    with pytest.raises(BackboneError, match="layer by layer"):
        fit_by_layer(backbone, select_maps(backbone), windows, CONFIG, Place(tmp_path / "r", {}))
