"""A whole move on tiny backbones, and what its controls must and must not do."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.calibration.by_closed_form import calibrate
from tests.calibration.tiny_training import TRAIN, windows_of
from tests.tiny import LAYERS, WIDTH, rotated_twin, tiny_backbone
from transplant.alignment.tokens import count_tokens
from transplant.backbones.fingerprint import hash_parameters
from transplant.calibration.config import MoveConfig
from transplant.calibration.gain import choose_gain, choose_gains, scaled
from transplant.calibration.move import align, pair_for_move, want
from transplant.calibration.output_map import map_outputs
from transplant.calibration.tuning import choose
from transplant.errors import CorpusError, InputError, ShapeError
from transplant.evaluation.evidence import weigh
from transplant.evaluation.likelihood import score_documents
from transplant.modules.correction import Correction
from transplant.modules.forms import MlpModule
from transplant.modules.hosted import HostedModel
from transplant.modules.untrained import random_module
from transplant.text.documents import Document
from transplant.text.splits import split_documents
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import train_module
from transplant.workflows.move.controls import build_controls, copied_over

CONFIG = MoveConfig(
    excerpts=60, excerpt_chars=240, held_out_excerpts=12, stride=1, likely_tokens=400
)


def hosted(backbone, text):
    trained = train_module(
        backbone, windows_of(backbone, text.train), windows_of(backbone, text.calibration), TRAIN
    )
    return HostedModel(f"tales@{backbone.name}", backbone, trained.correction)


@dataclasses.dataclass(frozen=True)
class Scene:
    """A donor with a module, a target, and the move between them."""

    donor: HostedModel
    target: object
    pairing: object
    bridge: object
    wanted: object
    calibration: list
    candidate: object
    counts: dict


@pytest.fixture(scope="module", params=["rotated twin", "other family"])
def scene(request, text, tiny_texts):
    """A donor, and a target on which the best move is known or one that shares nothing with it."""
    bpe = train_tokenizer("bpe", tiny_texts, 330, context=128)
    if request.param == "rotated twin":
        donor = hosted(tiny_backbone("llama", bpe, seed=1), text)
        generator = torch.Generator().manual_seed(4)
        rotation, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator))
        target = rotated_twin(donor.backbone, rotation)
    else:
        donor = hosted(tiny_backbone("gpt2", bpe, seed=1), text)
        digits = train_tokenizer("bpe-digits", tiny_texts, 360, context=128)
        target = tiny_backbone("llama", digits, seed=3, hidden_size=48)
    counts = count_tokens(
        (i for w in windows_of(donor.backbone, text.train) for i in w.ids), donor.tokenizer
    )
    pairing = pair_for_move(donor, target, text, counts, CONFIG)
    output_map = map_outputs(donor.backbone, target, counts, CONFIG)
    bridge, wanted = align(pairing, CONFIG), want(pairing, output_map, CONFIG)
    calibration = windows_of(target, text.calibration)
    candidate = calibrate(pairing, bridge.interface, wanted, calibration, CONFIG)
    return Scene(donor, target, pairing, bridge, wanted, calibration, candidate, counts)


def test_the_bridge_reproduces_z_on_excerpts_it_has_not_seen(scene):
    quality = scene.bridge.quality
    assert quality.cosine_after > quality.cosine_before + 0.1
    assert quality.pairs > 4 * quality.held_out_pairs > 400
    if scene.target.name == "tiny-twin":
        assert quality.r2 > 0.99
        assert quality.cosine_after > 0.99
        assert quality.paired_share == 1.0
    else:
        assert quality.r2 < 0.99


def test_nothing_of_the_donor_changes(scene):
    module = scene.donor.correction.module.state_dict()
    for name, tensor in scene.candidate.correction.module.state_dict().items():
        assert torch.equal(tensor, module[name])
    assert scene.candidate.correction.interface is not scene.bridge.interface
    assert scene.bridge.interface.proj_out.weight.abs().max() == 0


def test_backbones_are_frozen_through_a_whole_move(scene, text):
    backbones = scene.target, scene.donor.backbone
    before = [hash_parameters(backbone.model) for backbone in backbones]
    with scene.target.frozen(), scene.donor.backbone.frozen():
        pairing = pair_for_move(scene.donor, scene.target, text, scene.counts, CONFIG)
        calibrate(
            pairing, align(pairing, CONFIG).interface, scene.wanted, scene.calibration, CONFIG
        )
    assert [hash_parameters(backbone.model) for backbone in backbones] == before


def test_the_same_seed_gives_the_same_interface(scene, text):
    again = pair_for_move(scene.donor, scene.target, text, scene.counts, CONFIG)
    other = calibrate(
        again, align(again, CONFIG).interface, scene.wanted, scene.calibration, CONFIG
    )
    for one, two in zip(
        scene.candidate.correction.state_dict().values(),
        other.correction.state_dict().values(),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_a_twin_takes_the_module_over_and_its_controls_do_not(scene, text):
    """The target's native ceiling is the donor's own correction, turned: nothing is lost."""
    if scene.target.name != "tiny-twin":
        pytest.skip("the ceiling of a move is known for a twin alone")
    controls = build_controls(
        scene.pairing, scene.bridge.interface, scene.wanted, scene.candidate,
        scene.calibration, CONFIG,
    )  # fmt: skip
    donor, windows = scene.donor, windows_of(scene.target, text.eval)
    native = score_documents(donor.backbone, windows, {"native": donor.correction})
    systems = {"raw": None, "candidate": scene.candidate.correction, **controls}
    evidence = weigh({**score_documents(scene.target, windows, systems), **native})
    recovered = {name: value.mean for name, value in evidence.recovered.items()}
    assert recovered["candidate"] > 0.95
    assert recovered["random_module"] < 0.5 * recovered["candidate"]
    assert recovered["shuffled_pairs"] < 0.5 * recovered["candidate"]
    assert recovered["direct_copy"] < 0.5 * recovered["candidate"]  # maps matter, even on a twin
    assert evidence.donor_attributable.low > 0.3


def test_every_control_is_there_for_any_pair(scene, monkeypatch):
    told, gains = [], []
    monkeypatch.setattr(
        "transplant.workflows.move.controls.choose_gains",
        lambda *args, **options: gains.append([*told]) or choose_gains(*args, **options),
    )
    controls = build_controls(
        scene.pairing, scene.bridge.interface, scene.wanted, scene.candidate,
        scene.calibration, CONFIG, progress=lambda step, total, _: told.append(step / total),
    )  # fmt: skip
    assert gains[0][-1] < told[-1] == 1  # not at its end before the gains are chosen
    expected = {"random_module", "shuffled_pairs", "linear_surrogate", "random_refitted"}
    assert expected <= controls.keys()
    assert controls["random_module"].interface is scene.candidate.correction.interface
    module = scene.donor.correction.module
    assert not torch.equal(controls["random_refitted"].module.w1.weight, module.w1.weight)
    assert torch.equal(controls["shuffled_pairs"].module.w1.weight, module.w1.weight)


def test_shuffled_pairs_keep_each_donor_row_with_its_own_correction(scene):
    """Otherwise the control would be broken twice, and weaker than it claims to be."""
    mixed = scene.pairing.fitted.shuffled(CONFIG.seed)
    order = torch.Generator().manual_seed(CONFIG.seed)
    for batch, original in zip(mixed.batches, scene.pairing.fitted.batches, strict=True):
        permutation = torch.randperm(len(original), generator=order)
        assert torch.equal(batch.donor.h_last, original.donor.h_last[permutation])
        assert batch.target is original.target


def test_gain_is_the_best_of_those_offered_and_scales_the_correction(scene):
    candidate = scene.candidate.correction
    gain, loss = choose_gain(scene.target, candidate, scene.calibration, [1e-6, 1e6])
    assert gain == 1e-6
    raw = score_documents(scene.target, scene.calibration, {"raw": None})["raw"].per_token
    assert loss == pytest.approx(raw, rel=1e-4)  # so small a correction is none
    states = scene.target.read(scene.calibration[:1], candidate.taps)
    torch.testing.assert_close(
        scaled(candidate, 0.5)(states.taps), 0.5 * candidate(states.taps), rtol=1e-4, atol=1e-5
    )


def test_the_random_module_is_not_the_donors_untrained_one(scene):
    module = scene.donor.correction.module
    assert not torch.equal(random_module(module, 0).w1.weight, random_module(module, 1).w1.weight)


def test_direct_copy_only_where_shapes_allow(scene):
    copied = copied_over(scene.pairing)
    assert ("direct_copy" in copied) == (scene.target.d_model == scene.donor.backbone.d_model)


def test_a_raw_backbone_cannot_be_moved(scene, text):
    raw = HostedModel("tiny", scene.donor.backbone)
    with pytest.raises(InputError, match="raw backbone"):
        pair_for_move(raw, scene.target, text, scene.counts, CONFIG)


def test_a_rotation_into_a_wider_space_is_refused(scene):
    narrow = dataclasses.replace(CONFIG, method="procrustes", taps=(LAYERS,))
    assert align(scene.pairing, narrow).quality.cosine_after > 0
    with pytest.raises(InputError, match="method"):
        dataclasses.replace(CONFIG, method="magic")
    wide = Document("x" * 10, "")
    with pytest.raises(CorpusError, match="long enough"):
        pair_for_move(
            scene.donor,
            scene.target,
            dataclasses.replace(split_documents([wide], require_all=False), train=(wide,)),
            scene.counts,
            CONFIG,
        )


def test_interfaces_of_another_width_do_not_fit_the_module(scene):
    with pytest.raises(ShapeError, match="d_abi"):
        Correction(scene.candidate.correction.interface, MlpModule(8))


def test_the_calibration_split_chooses_the_weight_of_the_raw_log_ratio(scene):
    config = dataclasses.replace(CONFIG, donor_words=(0.0, 0.5, 8.0))
    reading, text = scene.bridge.interface, scene.calibration
    choice = choose(scene.pairing, reading, scene.wanted.output_map, text, config)
    assert [way.donor_word for way in choice.tried] == [0.0, 0.5, 8.0]
    assert choice.calibrated.loss == min(way.loss for way in choice.tried)
    chosen = next(way for way in choice.tried if way.loss == choice.calibrated.loss)
    assert choice.config.donor_word == chosen.donor_word
    assert choice.tried[0].loss == pytest.approx(scene.candidate.loss)
    if scene.target.name == "tiny-twin":  # it says what the donor says: there is nothing to add
        assert choice.tried[2].loss == pytest.approx(choice.tried[0].loss, rel=1e-2)
    else:
        assert choice.tried[2].loss > choice.tried[0].loss


def test_the_raw_log_ratio_alone_is_a_control_where_it_was_added(scene):
    def names(word):
        config = dataclasses.replace(CONFIG, donor_word=word)
        wanted = want(scene.pairing, scene.wanted.output_map, config)
        reading, text = scene.bridge.interface, scene.calibration
        return build_controls(scene.pairing, reading, wanted, scene.candidate, text, config).keys()

    assert names(0.5) - names(0.0) == {"donor_alone"}
