"""A repair after an update: exact where the change is linear, nothing where nothing has changed."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter

import pytest
import torch

from tests.tiny import WIDTH, rotated_twin, tiny_backbone
from transplant.alignment.tokens import token_bytes
from transplant.backbones.fingerprint import hash_tensors
from transplant.calibration.config import RepairConfig
from transplant.calibration.repair import repair
from transplant.calibration.repair_heads import map_heads
from transplant.calibration.repair_output import _wanted
from transplant.calibration.repair_rows import choose_windows, hold_out, read_both
from transplant.errors import InputError
from transplant.evaluation.likelihood import score_documents
from transplant.modules.correction import Correction
from transplant.modules.forms import FullModule
from transplant.modules.interface import Interface
from transplant.text.spread import spread_windows
from transplant.text.windows import Window
from transplant.training.loop import new_correction

EXACT = RepairConfig(ridges=(1e-9,), output_ridge=1e-9, tokens=9000)


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
    fitted = [w for n, w in enumerate(windows[:-4]) if n % EXACT.held_out != 1]
    assert found.rows == sum(map(len, fitted))


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


def test_positions_that_were_held_out_choose_the_strength(scene, tiny_tokenizer):
    before, after, correction, windows, _ = scene
    grid = RepairConfig().ridges
    other = tiny_backbone("llama", tiny_tokenizer, seed=7)
    few = [Window(w.ids[:24], w.ends[:24], w.document) for w in windows[:2]]
    # After a rotation the weakest is the best; between strangers, from few rows, it overfits.
    for target, text, weakest in ((after, windows, True), (other, few, False)):
        found = repair(before, target, correction, text, RepairConfig())
        alone = {
            ridge: repair(before, target, correction, text, RepairConfig(ridges=(ridge,)))
            for ridge in grid
        }
        best = min(one.z_off_after for one in alone.values())
        assert found.z_off_after == pytest.approx(best)
        assert found.z_off_after == pytest.approx(alone[found.ridge].z_off_after)
        assert (found.ridge == min(grid)) == weakest
        assert found.z_off_after < found.z_off_before


def test_the_calibration_split_chooses_the_output_map(scene):
    before, after, correction, windows, _ = scene
    calibration, config = windows[-6:], RepairConfig(words=(0.5, 1.0))
    plain = repair(before, after, correction, windows[:-6], config)
    assert plain.tried == ()
    found = repair(before, after, correction, windows[:-6], config, calibration=calibration)
    assert len(found.tried) == 1 + len(config.words) * len(config.logit_ridges)
    as_is = found.tried[0]
    assert as_is.word is None
    best = min(found.tried, key=lambda one: one.loss)
    for one, kept in ((as_is, plain), (best, found)):
        scored = score_documents(after, calibration, {"it": kept.correction})["it"]
        assert scored.per_token == pytest.approx(one.loss, rel=1e-4)
    module = hash_tensors(correction.module.state_dict())
    assert hash_tensors(found.correction.module.state_dict()) == module


def test_what_the_updated_backbone_forgot_comes_back_with_the_module(scene):
    """Wanting the old backbone's word pays where the update has lost something, not elsewhere."""
    before, _, correction, windows, _ = scene
    damaged = copy.deepcopy(before)
    with torch.no_grad():
        final = damaged.model.model.norm.weight
        final.mul_(torch.linspace(0.1, 2.0, WIDTH))
    said = [Window(tuple(ids), tuple(range(64)), n) for n, ids in enumerate(own_words(before, 40))]
    config = RepairConfig(logit_ridges=(0.1,))
    muted = copy.deepcopy(correction).requires_grad_(False)
    muted.interface.proj_out.weight.zero_()
    found = repair(before, damaged, muted, windows, config, calibration=said)
    as_is, word = found.tried
    assert word.loss < as_is.loss - 0.01
    same = repair(before, copy.deepcopy(before), muted, windows, config, calibration=said)
    assert same.tried[1].loss == pytest.approx(same.tried[0].loss, abs=1e-4)


def own_words(backbone, number):
    """What a backbone says by itself, as token ids."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        start = torch.randint(5, 300, (number, 1))
        return backbone.model.generate(
            start, do_sample=True, max_new_tokens=63, min_new_tokens=63
        ).tolist()


@torch.no_grad()
@pytest.mark.parametrize(("family", "options"), [
    ("llama", {}), ("gemma2", {"final_logit_softcapping": 4.0}), ("phi", {}),
])  # fmt: skip
def test_what_is_wanted_is_the_change_of_the_old_logits_behind_any_head(
    scene, tiny_tokenizer, family, options
):
    _, _, correction, windows, _ = scene
    backbone = tiny_backbone(family, tiny_tokenizer, seed=1, **options)
    rows = read_both(backbone, backbone, correction, windows[:2])[0]
    every = backbone.vocab_size
    found = _wanted(backbone, backbone, correction, rows, 1.0, every)
    h, taps = rows.h_before, {correction.taps[0]: rows.t_before}
    change = backbone.head(h + correction(taps)) - backbone.head(h)
    expected = change - (found.weights.scatter(1, found.tokens, found.weights) * change).sum(
        1, keepdim=True
    )
    torch.testing.assert_close(found.change, expected.gather(1, found.tokens), rtol=1e-3, atol=1e-3)
    assert change.abs().max() > 0.3


def test_windows_that_look_like_the_domain_are_read_first(scene, tiny_tokenizer):
    backbone, _, _, windows, _ = scene
    wanted = windows[5]
    counts = Counter(token_bytes(tiny_tokenizer)[i].hex() for i in wanted.ids)
    assert choose_windows(backbone, windows, counts, 64)[0] == wanted
    assert choose_windows(backbone, windows, {}, 64)[0] == windows[0]
    fitted, held = hold_out(windows, 5)
    assert len(fitted) + len(held) == len(windows)
    assert not {id(one) for one in fitted} & {id(one) for one in held}
    with pytest.raises(InputError, match="two windows"):
        hold_out(windows[:1], 5)


def test_what_does_not_pair_is_refused(scene, tiny_tokenizer):
    before, after, correction, windows, _ = scene
    wider = tiny_backbone("llama", tiny_tokenizer, hidden_size=48)
    with pytest.raises(InputError, match="d_model"):
        repair(before, wider, correction, windows, RepairConfig())
    reading = Correction(Interface(WIDTH, 32, (2,)), FullModule(32))
    with pytest.raises(InputError, match="whole windows"):
        repair(before, after, reading, windows, RepairConfig())
