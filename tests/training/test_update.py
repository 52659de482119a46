"""An update changes a copy of a backbone and nothing else; a stability term holds z."""

from __future__ import annotations

import dataclasses
import sys

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.backbones.fingerprint import hash_parameters, hash_tensors
from transplant.errors import InputError
from transplant.modules.interface import Interface
from transplant.text.spread import spread_windows
from transplant.training.config import UPDATE_KINDS, UpdateConfig
from transplant.training.rounding import rounded_rows
from transplant.training.update import KINDS, update_backbone
from transplant.training.z_cache import ReferenceZ

CONFIG = UpdateConfig(steps=12, batch=4, window=32, learning_rate=5e-3)


@pytest.fixture(scope="module", params=["gpt2", "llama", "t5"])
def scene(request, tiny_corpus, tiny_tokenizer):
    """A backbone, windows to learn from, and an interface that reads its last tap."""
    backbone = tiny_backbone(request.param, tiny_tokenizer, seed=1)
    windows = spread_windows(tiny_corpus, tiny_tokenizer, 32, 3000)
    generator = torch.Generator().manual_seed(0)
    interface = Interface(backbone.d_model, 16, (backbone.n_layers,), generator=generator)
    return backbone, windows, interface.eval()


def z_of(backbone, interface, windows):
    states = backbone.read(windows[:8], interface.taps).labelled()
    return interface.read_in(states.taps).detach()


def moved(scene, updated):
    """How far z has moved, as the updated interface reads it."""
    backbone, windows, interface = scene
    now = z_of(updated.backbone, updated.interfaces[0], windows)
    return torch.nn.functional.mse_loss(now, z_of(backbone, interface, windows)).item()


def loss_of(backbone, windows):
    states = backbone.read(windows[:8]).labelled()
    return torch.nn.functional.cross_entropy(backbone.head(states.h_last), states.labels).item()


def test_every_kind_that_can_be_named_is_in_the_table():
    assert tuple(KINDS) == UPDATE_KINDS


@pytest.mark.parametrize("kind", UPDATE_KINDS)
def test_an_update_changes_the_hash_of_the_copy_and_of_nothing_else(scene, kind):
    backbone, windows, interface = scene
    before = hash_parameters(backbone.model), hash_tensors(interface.state_dict())
    config = dataclasses.replace(CONFIG, kind=kind)
    updated = update_backbone(backbone, windows, config, [interface])
    assert (hash_parameters(backbone.model), hash_tensors(interface.state_dict())) == before
    assert updated.backbone.weights_sha256 != before[0]
    assert updated.backbone.weights_sha256 == hash_parameters(updated.backbone.model)
    names = [name for name, _ in updated.backbone.model.named_parameters()]
    assert names == [name for name, _ in backbone.model.named_parameters()]
    assert hash_tensors(updated.interfaces[0].state_dict()) == before[1]
    assert not any(p.requires_grad for p in updated.backbone.model.parameters())
    again = update_backbone(backbone, windows, config, [interface])
    assert again.backbone.weights_sha256 == updated.backbone.weights_sha256


@pytest.mark.parametrize("kind", ["finetune", "lora", "merge"])
def test_an_update_that_takes_steps_learns_the_text(scene, kind):
    backbone, windows, _ = scene
    updated = update_backbone(backbone, windows, dataclasses.replace(CONFIG, kind=kind, steps=20))
    assert loss_of(updated.backbone, windows) < loss_of(backbone, windows) - 0.05


def test_the_stability_term_holds_z_where_an_update_without_it_moves_it(scene):
    backbone, windows, interface = scene
    free = update_backbone(backbone, windows, CONFIG, [interface])
    held_config = dataclasses.replace(CONFIG, stability=5.0)
    held = update_backbone(backbone, windows, held_config, [interface])
    assert moved(scene, held) < 0.7 * moved(scene, free)
    assert loss_of(held.backbone, windows) < loss_of(backbone, windows)


def test_a_trained_interface_follows_and_only_its_reading_side(scene):
    backbone, windows, interface = scene
    config = dataclasses.replace(CONFIG, stability=5.0, train_interface=True)
    followed = update_backbone(backbone, windows, config, [interface]).interfaces[0]
    assert not torch.equal(followed.proj_in.weight, interface.proj_in.weight)
    assert torch.equal(followed.proj_out.weight, interface.proj_out.weight)


def test_several_interfaces_are_held_against_an_earlier_backbone(scene):
    backbone, windows, interface = scene
    other = Interface(
        backbone.d_model, 16, (0, backbone.n_layers), generator=torch.Generator().manual_seed(7)
    )
    first = update_backbone(backbone, windows, CONFIG, [interface, other])
    config = dataclasses.replace(CONFIG, stability=20.0)
    both = [interface, other]
    back = update_backbone(
        first.backbone, windows, config, first.interfaces, first=(backbone, both)
    )
    # The reference is the backbone before both updates, so z comes back towards it.
    assert moved(scene, back) < moved(scene, first)


def test_the_reference_is_the_same_at_any_memory_bound(scene):
    backbone, windows, interface = scene
    roomy, tight = (ReferenceZ(backbone, [interface], windows, size) for size in (10**8, 5000))
    for _ in range(2):
        for indices in ([0, 1, 2, 3], [2, 9, 4, 0]):
            (ours,), (theirs,) = roomy.rows(indices), tight.rows(indices)
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(
                ours, torch.cat([z_of(backbone, interface, [windows[i]]) for i in indices]),
                atol=1e-5, rtol=1e-5,
            )  # fmt: skip
    assert 0 < tight.kept_bytes <= 5000 < roomy.kept_bytes


def test_eight_bits_are_off_by_half_a_step_at_most():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(5, 40, generator=generator) * torch.tensor([[1e-3], [1], [7], [0], [50.0]])
    off = (rounded_rows(matrix) - matrix).abs()
    step = matrix.abs().amax(1, keepdim=True) / 127
    assert (off <= 0.5001 * step).all()
    assert (off.amax(1, keepdim=True) > 0.2 * step)[[0, 1, 2, 4]].all()
    torch.testing.assert_close(rounded_rows(rounded_rows(matrix)), rounded_rows(matrix))


def test_what_cannot_be_is_refused(scene, monkeypatch):
    backbone, windows, _ = scene
    for options, message in (
        ({"kind": "prune"}, "`kind`: expected one of"),
        ({"kind": "int8", "stability": 1.0}, "takes no steps"),
        ({"train_interface": True}, "nothing trains the interface"),
        ({"stability": -1.0}, "`stability`: expected at least 0, found -1.0"),
    ):
        with pytest.raises(InputError, match=message):
            UpdateConfig(**options)
    with pytest.raises(InputError, match="an interface to hold"):
        update_backbone(backbone, windows, dataclasses.replace(CONFIG, stability=1.0))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"abi-transplant\[lora\]"):
        update_backbone(backbone, windows, dataclasses.replace(CONFIG, kind="lora"))
