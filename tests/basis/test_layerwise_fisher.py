"""Fisher scores layer by layer: the same, from the disk as well, and continued where killed."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_backbone, tiny_model
from transplant.backbones.load import load_backbone
from transplant.basis import descent, layerwise, layerwise_fisher
from transplant.basis.boundaries import Place
from transplant.basis.config import FitConfig
from transplant.basis.fisher import fisher_scores
from transplant.basis.fit import fit_basis
from transplant.basis.layerwise_fisher import fisher_by_layer
from transplant.basis.maps import select_maps
from transplant.basis.spectrum import Spectrum
from transplant.errors import InputError, NumericalError

CONFIG = FitConfig(max_rank=6)


def assert_same(one, two):
    assert [*one] == [*two]
    for name, score in one.items():
        assert torch.allclose(score, two[name], rtol=1e-3, atol=1e-5 * float(score.max()))


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3_text", "gptj"])
def test_they_are_the_scores_of_whole_passes(backbones, windows, tmp_path, family):
    backbone = backbones(family)
    maps = select_maps(backbone)
    spectra = fit_basis(backbone, maps, windows, CONFIG).spectra
    whole = fisher_scores(backbone, maps, spectra, windows)
    place = Place(tmp_path / "run", {"a": 1})
    with backbone.frozen():
        found = fisher_by_layer(backbone, maps, spectra, windows, place)
    assert_same(whole, found)
    assert not [*place.folder.glob("*.h5")]
    other = fisher_scores(backbone, maps, spectra, windows[:3])  # control: another text
    name = maps[0].name
    assert not torch.allclose(other[name], found[name], rtol=1e-2)


def test_maps_of_upper_layers_alone_are_enough(backbones, windows, tmp_path):
    backbone = backbones("llama")
    maps = [m for m in select_maps(backbone) if m.layer == 1]
    spectra = fit_basis(backbone, maps, windows, CONFIG).spectra
    found = fisher_by_layer(backbone, maps, spectra, windows, Place(tmp_path / "run", {}))
    assert_same(fisher_scores(backbone, maps, spectra, windows), found)


def test_layers_on_the_disk_give_the_same_and_stay_there(tiny_tokenizer, windows, tmp_path):
    tiny_model("llama", tiny_tokenizer).save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    near = load_backbone(tmp_path / "model")
    far = load_backbone(tmp_path / "model", device_map={"": "disk"})
    maps, near_maps = select_maps(far), select_maps(near)
    spectra = fit_basis(near, near_maps, windows, CONFIG).spectra
    found = fisher_by_layer(far, maps, spectra, windows, Place(tmp_path / "run", {}))
    assert_same(fisher_scores(near, near_maps, spectra, windows), found)
    assert all(m.weight.is_meta for m in maps)


@pytest.mark.parametrize(
    "killed_at",
    [(layerwise, "carry_up", 1), (descent, "_loss_gradients", 0), (descent, "_run_down", 1)],
)
def test_a_killed_run_goes_on_where_it_was(backbones, windows, tmp_path, monkeypatch, killed_at):
    backbone = backbones("gptj")
    maps = select_maps(backbone)
    spectra = fit_basis(backbone, maps, windows, CONFIG).spectra
    place = Place(tmp_path / "run", {"a": 1})
    module, name, after = killed_at
    step, calls = getattr(module, name), []

    def failing(*args):
        calls.append(name)
        if len(calls) == after + 1:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(module, name, failing)
    with pytest.raises(KeyboardInterrupt):
        fisher_by_layer(backbone, maps, spectra, windows, place)
    found = fisher_by_layer(backbone, maps, spectra, windows, place)
    layers = 1 if name == "_loss_gradients" else backbone.n_layers
    assert len(calls) == layers + 1  # the one that was killed is the only one that is done twice
    assert_same(fisher_scores(backbone, maps, spectra, windows), found)
    with pytest.raises(InputError, match="another run"):
        fisher_by_layer(backbone, maps, spectra, windows, Place(place.folder, {"a": 2}))


def test_a_gradient_that_is_no_number_is_refused_at_its_batch(
    tiny_tokenizer, windows, tmp_path, monkeypatch
):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    maps = select_maps(backbone)
    spectra = fit_basis(backbone, maps, windows, CONFIG).spectra
    monkeypatch.setattr(layerwise_fisher, "TOKENS", 1)

    def downwards(folder):
        told.clear()
        progress = lambda *one: told.append(one[2])  # noqa: E731
        fisher_by_layer(backbone, maps, spectra, windows, Place(folder, {}), progress)

    told = []
    downwards(tmp_path / "whole")
    assert sum("downwards" in note for note in told) == 2 * len(windows)  # the control
    of = next(m for m in maps if m.layer == 1).name
    spectra = {**spectra, of: Spectrum(spectra[of].vectors * torch.nan, spectra[of].energies)}
    with pytest.raises(NumericalError, match=r"the gradient at .*layers\.1\..* is NaN or infinite"):
        downwards(tmp_path / "nan")
    assert not any("downwards" in note for note in told)
