"""Directions of gradients layer by layer: the same, also from the disk, continued where killed."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from accelerate.hooks import AlignDevicesHook

from tests.basis.tiny_basis import ragged_windows
from tests.tiny import tiny_backbone
from transplant.basis import by_layer, descent, layerwise, layerwise_gradients
from transplant.basis.boundaries import Place
from transplant.basis.by_layer import fit_by_layer
from transplant.basis.config import GRADIENTS, FitConfig
from transplant.basis.gradients import fit_gradients
from transplant.basis.maps import select_maps
from transplant.basis.one_layer import layers_of
from transplant.errors import BackboneError, InputError, NumericalError

CONFIG = FitConfig(directions=GRADIENTS, max_rank=6)
SAME = 1e-4


@pytest.fixture(scope="module")
def kept(tiny_tokenizer):
    return ragged_windows(len(tiny_tokenizer), seed=1)


def distance(one, two) -> float:
    """How far two bases of the same maps are apart, the worst of them, as shares.

    Of the energies, and of R' diag(s) R, which no sign and no turn inside equal energies moves.
    """
    found = 0.0
    for name, spectrum in one.spectra.items():
        shapes = []
        for basis in (spectrum, two.spectra[name]):
            rows = basis.vectors.double()
            shapes += [(rows * basis.energies[: basis.kept]) @ rows.T, basis.energies]
        for own, other in zip(shapes[:2], shapes[2:], strict=True):
            found = max(found, float((own - other).norm() / own.norm()))
    return found


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3_text", "gptj"])  # tied: gpt2, gemma3
def test_it_is_the_basis_of_whole_passes(backbones, windows, kept, tmp_path, monkeypatch, family):
    monkeypatch.setattr(by_layer, "TOKENS", 64)  # other batches than those of the whole
    monkeypatch.setattr(by_layer, "TOKENS_FORWARD", 64)
    backbone = backbones(family)
    maps = select_maps(backbone)
    place = Place(tmp_path / "run", {"a": 1})
    with backbone.frozen():
        found = fit_by_layer(backbone, maps, windows, CONFIG, place, kept=kept)
        whole = fit_gradients(backbone, maps, windows, kept, CONFIG)
        for texts in ((windows[:6], kept), (windows, kept[:6])):  # the controls: other texts
            assert distance(fit_gradients(backbone, maps, *texts, CONFIG), found) > 0.05
    assert found.directions == GRADIENTS
    assert dict(found.rows) == dict(whole.rows)
    assert distance(whole, found) < SAME
    assert not [*place.folder.rglob("*.h5")]
    assert not any("forward" in vars(m) for m in layers_of(backbone))


@pytest.mark.parametrize("layer", [0, 1])
def test_maps_of_some_layers_are_enough(backbones, windows, kept, tmp_path, layer):
    backbone = backbones("llama")
    maps = [m for m in select_maps(backbone) if m.layer == layer]
    place = Place(tmp_path / "run", {})
    found = fit_by_layer(backbone, maps, windows, CONFIG, place, kept=kept)
    assert distance(fit_gradients(backbone, maps, windows, kept, CONFIG), found) < SAME


def test_layers_on_the_disk_are_loaded_once_a_pass(
    near_and_far, windows, kept, tmp_path, monkeypatch
):
    near, far = near_and_far
    maps, loads = select_maps(far, "down_proj"), Counter()
    names = {id(m.module): m.layer for m in maps}
    load = AlignDevicesHook.pre_forward

    def counted(hook, module, *args, **kwargs):
        loads[names.get(id(module))] += 1
        return load(hook, module, *args, **kwargs)

    monkeypatch.setattr(AlignDevicesHook, "pre_forward", counted)
    place = Place(tmp_path / "run", {})
    found = fit_by_layer(far, maps, windows, CONFIG, place, kept=kept)
    assert (loads[0], loads[1]) == (4, 2)  # the probe, both texts up, down; one text up, down
    near_maps = select_maps(near, "down_proj")
    assert distance(fit_gradients(near, near_maps, windows, kept, CONFIG), found) < SAME
    assert all(m.weight.is_meta for m in maps)


STEPS = {
    "kept, upwards": (layerwise, "carry_up", 0),
    "domain, upwards": (layerwise, "carry_up", 2),
    "top": (descent, "_loss_gradients", 0),
    "kept, at a layer": (layerwise_gradients, "carry_up", 1),
    "domain, downwards": (descent, "_run_down", 1),
    "solving": (layerwise_gradients, "solve_readings", 1),
}


@pytest.mark.parametrize("killed_at", STEPS)
def test_a_killed_run_goes_on_where_it_was(
    backbones, windows, kept, tmp_path, monkeypatch, killed_at
):
    backbone = backbones("gptj")
    maps = select_maps(backbone)
    place = Place(tmp_path / "run", {"a": 1})
    module, name, after = STEPS[killed_at]
    step, calls = getattr(module, name), []

    def run():
        return fit_by_layer(backbone, maps, windows, CONFIG, place, kept=kept)

    def failing(*args, **options):
        calls.append(name)
        if len(calls) == after + 1:
            raise KeyboardInterrupt
        return step(*args, **options)

    monkeypatch.setattr(module, name, failing)
    with pytest.raises(KeyboardInterrupt):
        run()
    found = run()
    # layer 0 of the kept text and both of the domain; the loss; two layers down
    once = {"upwards": 3, "top": 1}.get(killed_at.rpartition(" ")[2], 2)
    assert len(calls) == once + 1  # the step that was killed is the only one that is done twice
    assert distance(fit_gradients(backbone, maps, windows, kept, CONFIG), found) < SAME
    with pytest.raises(InputError, match="another run"):
        fit_by_layer(backbone, maps, windows, CONFIG, Place(place.folder, {"a": 2}), kept=kept)


def test_what_is_no_number_is_named(tiny_tokenizer, windows, kept, tmp_path):
    def run(backbone):
        place = Place(tmp_path / str(len([*tmp_path.iterdir()])), {})
        fit_by_layer(backbone, select_maps(backbone), windows, CONFIG, place, kept=kept)

    run(tiny_backbone("llama", tiny_tokenizer))  # the control
    top = tiny_backbone("llama", tiny_tokenizer)
    top.model.model.norm.weight.data.fill_(torch.nan)
    with pytest.raises(NumericalError, match="gradient-2 .* is no number"):
        run(top)
    inside = tiny_backbone("llama", tiny_tokenizer)
    inside.model.model.layers[1].input_layernorm.weight.data.fill_(torch.nan)
    with pytest.raises(NumericalError, match="boundary-2 .* is no number"):
        run(inside)


def test_an_encoder_decoder_is_refused(backbones, windows, kept, tmp_path):
    backbone = backbones("t5")
    place = Place(tmp_path / "run", {})
    with pytest.raises(BackboneError, match="layer by layer"):
        fit_by_layer(backbone, select_maps(backbone), windows, CONFIG, place, kept=kept)
    assert not place.folder.exists()
