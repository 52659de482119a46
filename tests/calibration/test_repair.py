"""A repair after an update: exact where the change is linear, nothing where nothing has changed."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from tests.tiny import WIDTH, rotated_twin, tiny_backbone
from transplant.backbones.fingerprint import hash_tensors
from transplant.calibration.config import RepairConfig
from transplant.calibration.repair import map_heads, repair
from transplant.errors import InputError
from transplant.modules.forms import FullModule
from transplant.modules.hosted import Correction
from transplant.modules.interface import Interface
from transplant.text.windows import spread_windows
from transplant.training.loop import new_correction

EXACT = RepairConfig(ridge=1e-9, output_ridge=1e-9)


@pytest.fixture(scope="module")
def scene(tiny_corpus, tiny_tokenizer):
    """A Llama, the same turned by a rotation, a correction that does something, and text."""
    before = tiny_backbone("llama", tiny_tokenizer, seed=1)
    generator = torch.Generator().manual_seed(4)
    rotation, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator))
    correction = new_correction(WIDTH, 16, (before.n_layers,), seed=0).eval()
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.1, generator=generator)
    windows = spread_windows(tiny_corpus, tiny_tokenizer, 64, 3000)
    return before, rotated_twin(before, rotation), correction, windows, rotation


def logits_of(backbone, correction, windows):
    states = backbone.read(windows[-4:], correction.taps)
    return backbone.head(states.h_last + correction(states.taps)).detach()


def test_a_linear_change_is_recovered_exactly_and_without_a_repair_it_is_not(scene):
    before, after, correction, windows, _ = scene
    found = repair(before, after, correction, windows[:-4], EXACT)
    wanted = logits_of(before, correction, windows)
    torch.testing.assert_close(
        logits_of(after, found.correction, windows), wanted, atol=2e-2, rtol=1e-2
    )
    unrepaired = (logits_of(after, correction, windows) - wanted).abs().mean()
    repaired = (logits_of(after, found.correction, windows) - wanted).abs().mean()
    assert repaired < 0.01 * unrepaired
    assert found.z_off_after < 1e-4 < 0.1 < found.z_off_before
    assert found.rows == sum(len(window) for window in windows[:-4])


def test_the_input_side_alone_leaves_the_output_turned(scene):
    before, after, correction, windows, _ = scene
    half = repair(before, after, correction, windows, dataclasses.replace(EXACT, output=False))
    assert half.z_off_after < 1e-4
    interface = half.correction.interface
    assert torch.equal(interface.proj_out.weight, correction.interface.proj_out.weight)
    wanted = logits_of(before, correction, windows)
    assert (logits_of(after, half.correction, windows) - wanted).abs().max() > 0.1


def test_where_nothing_has_moved_nothing_changes(scene):
    before, _, correction, windows, _ = scene
    twin = copy.deepcopy(before)
    found = repair(before, twin, correction, windows, RepairConfig()).correction
    for name, tensor in found.state_dict().items():
        torch.testing.assert_close(tensor, correction.state_dict()[name], atol=1e-5, rtol=0)


def test_the_modules_bytes_stay_and_the_given_correction_too(scene):
    before, after, correction, windows, _ = scene
    was = hash_tensors(correction.state_dict())
    found = repair(before, after, correction, windows, RepairConfig())
    assert hash_tensors(correction.state_dict()) == was
    module = hash_tensors(correction.module.state_dict())
    assert hash_tensors(found.correction.module.state_dict()) == module


def test_the_map_between_heads_is_the_rotation_between_them(scene):
    before, after, _, _, rotation = scene
    even = torch.full((before.vocab_size,), 1 / before.vocab_size, dtype=torch.float64)
    exact = map_heads(before.unembedding, after.unembedding, even, 1e-9)
    torch.testing.assert_close(exact, rotation, atol=1e-3, rtol=0)
    # A strong ridge stays at the identity: it says that nothing has changed.
    torch.testing.assert_close(
        map_heads(before.unembedding, after.unembedding, even, 1e9), torch.eye(WIDTH)
    )


def test_what_does_not_pair_is_refused(scene, tiny_tokenizer):
    before, after, correction, windows, _ = scene
    wider = tiny_backbone("llama", tiny_tokenizer, hidden_size=48)
    with pytest.raises(InputError, match="d_model"):
        repair(before, wider, correction, windows, RepairConfig())
    reading = Correction(Interface(WIDTH, 32, (2,)), FullModule(32))
    with pytest.raises(InputError, match="whole windows"):
        repair(before, after, reading, windows, RepairConfig())
