"""How much of a donor's change is general: of itself all, of a random one little."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from tests.calibration.tiny_training import TRAIN, windows_of
from tests.calibration.tuned_scene import tuned_scene
from tests.tiny import tiny_backbone
from transplant.backbones.split_head import SplitHead
from transplant.calibration import general as file
from transplant.calibration.config import MoveConfig
from transplant.calibration.gain import scaled
from transplant.calibration.general import General, share_of_nats, share_of_variance
from transplant.calibration.move import pair_for_move, want
from transplant.calibration.output_map import map_outputs
from transplant.errors import InputError
from transplant.evaluation.likelihood import Likelihood, score_documents
from transplant.modules.hosted import HostedModel
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import new_correction, train_module
from transplant.workflows.move.controls import shuffled

CONFIG = MoveConfig(excerpts=40, excerpt_chars=240, held_out_excerpts=12, stride=1)
COUNTS = {f"{byte:x}": 1 for byte in b"aeionrst"}


@pytest.fixture(scope="module")
def scene(text, tiny_texts):
    """A donor with a module, and a pairing of it with another model."""
    backbone = tiny_backbone("gpt2", train_tokenizer("bpe", tiny_texts, 330, context=128), seed=1)
    config = dataclasses.replace(TRAIN, steps=40)
    trained = train_module(
        backbone, windows_of(backbone, text.train), windows_of(backbone, text.calibration), config
    )
    donor = HostedModel("tales@tiny", backbone, trained.correction)
    target = tiny_backbone("llama", train_tokenizer("bpe", tiny_texts, 350, context=128), seed=2)
    counts = {"20": 1}
    return donor, pair_for_move(donor, target, text, counts, CONFIG), (target, counts)


def general_of(correction, weight=0.0):
    return General("it", copy.deepcopy(correction).cpu(), weight)


def unrelated(donor):
    """A random module behind a random interface that writes as loudly as the donor's."""
    made = new_correction(donor.backbone.d_model, 16, donor.correction.taps, 7)
    with torch.no_grad():
        made.interface.proj_out.weight.normal_(generator=torch.Generator().manual_seed(3))
    return made.eval()


def test_a_change_explains_itself_and_half_of_it_all_by_twice(scene):
    donor, pairing, _ = scene
    head, whole = SplitHead(donor.backbone.unembedding), pairing.whole_change

    def share(correction):
        return share_of_variance(pairing.fitted, whole, general_of(correction), head)

    assert share(donor.correction) == (pytest.approx(1.0), pytest.approx(1.0))
    assert share(scaled(donor.correction, 0.5)) == (pytest.approx(1.0), pytest.approx(2.0))
    assert share(unrelated(donor))[0] < 0.3


def test_what_is_taken_away_is_not_wanted(scene, text):
    donor, pairing, (target, counts) = scene
    taps = pairing.fitted.batches[0].donor.taps
    own = pairing.change(taps)
    less = {
        weight: dataclasses.replace(pairing, general=general_of(donor.correction, weight))
        for weight in (0.0, 0.25, 1.0)
    }
    assert torch.equal(less[0.0].change(taps), own)
    assert torch.allclose(less[0.25].change(taps), 0.75 * own, atol=1e-6)
    assert less[1.0].change(taps).abs().max() < 1e-6 < own.abs().max()
    assert torch.equal(less[1.0].whole_change(taps), own)
    other = new_correction(donor.backbone.d_model, 16, (0,), 7)
    paired = pair_for_move(donor, target, text, counts, CONFIG, general=general_of(other))
    assert (
        set(paired.donor_taps)
        == {0, *donor.correction.taps}
        <= {*paired.fitted.batches[0].donor.taps}
    )


@torch.no_grad()
def test_shuffled_pairs_are_told_no_more_than_the_move(scene):
    """Of a change that is general all through nothing is left, in whatever order the rows are."""
    donor, pairing, (target, counts) = scene
    output_map = map_outputs(donor.backbone, target, counts | COUNTS, CONFIG)
    loudest = {}
    for weight in (0.0, 1.0):
        less = dataclasses.replace(pairing, general=general_of(donor.correction, weight))
        mixed = shuffled(less, want(less, output_map, CONFIG), CONFIG)
        found = mixed(less.fitted.batches[0].target.taps)
        loudest[weight] = float(found.abs().max())
    assert loudest[1.0] < 1e-4 < loudest[0.0]


def test_nats_are_shared_as_the_two_gain_them(scene, text):
    donor, _, _ = scene
    windows = windows_of(donor.backbone, text.calibration)
    assert share_of_nats(donor, general_of(donor.correction), windows).mean == pytest.approx(1.0)
    weak = scaled(donor.correction, 0.5)
    found = share_of_nats(donor, general_of(weak), windows)
    scored = score_documents(
        donor.backbone, windows, {"raw": None, "weak": weak, "whole": donor.correction}
    )
    raw, part, whole = (scored[name].per_token for name in ("raw", "weak", "whole"))
    assert found.mean == pytest.approx((raw - part) / (raw - whole))
    assert 0 < found.low < found.mean < found.high
    harmful = HostedModel("it", donor.backbone, scaled(donor.correction, -1.0))
    assert share_of_nats(harmful, general_of(weak), windows) is None


def test_of_a_gain_within_its_interval_no_share_is_given(scene, monkeypatch):
    donor, _, _ = scene
    nats = {"raw": (20.0, 21, 22, 23), "whole": (12.0, 28, 14, 28), "general": (16.0, 17, 18, 19)}
    scored = {
        name: Likelihood(torch.tensor(some).double(), torch.full((4,), 10.0).double())
        for name, some in nats.items()
    }
    assert scored["whole"].per_token < scored["raw"].per_token
    monkeypatch.setattr(file, "score_documents", lambda *_: scored)
    assert share_of_nats(donor, general_of(donor.correction), ()) is None


def test_a_tuned_copy_is_compared_with_a_module_of_its_base(text, tiny_texts):
    scene = tuned_scene(text, tiny_texts, two_heads=False)
    base, target = scene.donor.pair.base, scene.target
    module = new_correction(base.d_model, 16, (0, 1), 0)
    general = general_of(module, 1.0)
    pairing = pair_for_move(scene.donor, target, text, scene.counts, CONFIG, general=general)
    rows = pairing.fitted.batches[0].donor
    whole = pairing.whole_change(rows.taps)
    assert torch.allclose(pairing.change(rows.taps), whole - general.correction(rows.taps))
    windows = windows_of(base, text.calibration)
    assert abs(share_of_nats(scene.donor, general, windows).mean) < 0.5


def test_a_weight_below_nothing_is_refused():
    with pytest.raises(InputError, match="less_general"):
        MoveConfig(less_general=-1.0)
