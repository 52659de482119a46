"""The donor as teacher: in P_out alone, with a gain, and beside a little text."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from tests.calibration.tiny_training import QUICK, TRAIN, windows_of
from tests.tiny import LAYERS, WIDTH, rotated_twin, tiny_backbone
from transplant.alignment.tokens import count_tokens
from transplant.backbones.fingerprint import hash_tensors
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import align, pair_for_move
from transplant.calibration.objectives.config import LearnConfig
from transplant.calibration.objectives.donor_changes import donor_changes
from transplant.calibration.objectives.donor_kd import DonorBatches
from transplant.calibration.objectives.run import Material, _changes, _teaching, fit_by
from transplant.calibration.output_map import DonorMix, map_outputs
from transplant.evaluation.likelihood import score_documents
from transplant.modules.correction import Correction
from transplant.modules.hosted import HostedModel
from transplant.modules.untrained import random_module
from transplant.training.loop import train_module
from transplant.training.row_sources import CachedRows

MOVE = MoveConfig(excerpts=60, excerpt_chars=240, held_out_excerpts=12, stride=1)


@pytest.fixture(scope="module")
def twin(tiny_tokenizer, text):
    """A donor, a target with its function in another basis, and the pairs between them."""
    donor_backbone = tiny_backbone("llama", tiny_tokenizer, seed=1)
    trained = train_module(
        donor_backbone, windows_of(donor_backbone, text.train),
        windows_of(donor_backbone, text.calibration), TRAIN,
    )  # fmt: skip
    donor = HostedModel("tales@donor", donor_backbone, trained.correction)
    generator = torch.Generator().manual_seed(4)
    rotation, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator))
    target = rotated_twin(donor_backbone, rotation)
    counts = count_tokens(
        (i for w in windows_of(target, text.train) for i in w.ids), target.tokenizer
    )
    pairing = pair_for_move(donor, target, text, counts, MOVE)
    output_map = map_outputs(donor_backbone, target, counts, MOVE)
    found = Material(target=target, pairing=pairing, output_map=output_map)
    return donor, found, align(pairing, MOVE).interface


def test_donor_kd_in_p_out_alone_brings_the_donors_module_home(twin, text):
    """On a twin nothing need be lost; a random module behind the same maps falls short."""
    donor, material, reading = twin
    windows = windows_of(material.target, text.eval)
    config = dataclasses.replace(QUICK, train="p-out", batch=1, steps=200)
    module = donor.correction.module
    systems = {
        name: fit_by("donor-kd", Correction(reading, one), material, config).correction
        for name, one in {"moved": module, "random": random_module(module, 0)}.items()
    }
    scores = score_documents(material.target, windows, {"raw": None, **systems})
    native = score_documents(donor.backbone, windows, {"native": donor.correction})["native"]
    gap = scores["raw"].per_token - native.per_token
    recovered = {name: (scores["raw"].per_token - scores[name].per_token) / gap for name in systems}
    assert recovered["moved"] > 0.9
    assert recovered["random"] < recovered["moved"] - 0.05


def test_changes_of_likely_tokens_teach_p_in_as_well(twin, text):
    """Half of z is not read at the start: P_in finds it again, P_out alone falls short."""
    donor, material, reading = twin
    windows = windows_of(material.target, text.eval)
    config = dataclasses.replace(QUICK, batch=1, steps=200, learning_rate=3e-3)
    start = Correction(copy.deepcopy(reading), donor.correction.module)
    with torch.no_grad():
        start.interface.proj_in.weight[::2] = 0.0
    systems = {
        train: fit_by(
            "donor-changes", start, material, dataclasses.replace(config, train=train)
        ).correction
        for train in ("interface", "p-out")
    }
    scores = score_documents(material.target, windows, {"raw": None, **systems})
    gained = {name: scores["raw"].per_token - score.per_token for name, score in scores.items()}
    assert gained["interface"] > 1.1 * gained["p-out"] > 0


def test_beside_a_text_likely_tokens_teach_with_the_gain_and_the_weight_of_divergences(twin):
    _, material, _ = twin
    material = dataclasses.replace(material, donor_mix=DonorMix(gain=0.5))
    config = LearnConfig(tokens=1_000, donor_tokens=3_000)
    found = _teaching("lm+donor-changes", material, config)
    assert (found.loss, found.weight) == (donor_changes, 1.5)  # half of a squared error
    whole = _changes(material, config.seed).batch([0]).wanted_change
    wanted = found.batches.batch([0]).wanted_change
    torch.testing.assert_close(wanted.change, 0.5 * whole.change)
    assert torch.equal(wanted.tokens, whole.tokens)
    assert _teaching("lm+donor-kd", material, config).weight == 3.0


def test_the_donor_teaches_with_the_weights_that_it_is_given(twin):
    donor, material, _ = twin
    pairing, target = material.pairing, material.target

    def teaching(**donor_mix):
        batches = DonorBatches(
            target, pairing.held_out, pairing.correction, material.output_map, DonorMix(**donor_mix)
        )
        batch = batches.batch([0])
        return batch, batch.teacher_logits(slice(40)).log_softmax(-1)

    batch, whole = teaching()
    raw = target.head(batch.states.h_last[:40]).log_softmax(-1)
    assert torch.equal(teaching(gain=0.0)[1], raw)
    assert (whole - raw).abs().max() > 0.1
    between = (teaching(gain=0.5)[1].exp() - raw.exp()).norm()
    assert 0 < between < (whole.exp() - raw.exp()).norm()
    # A twin says already what the donor says without its module.
    torch.testing.assert_close(teaching(raw_weight=1.0)[1], whole, atol=1e-3, rtol=0)


@pytest.mark.parametrize("taught", ["lm+donor-kd", "lm+donor-changes"])
def test_a_donor_beside_a_little_text_keeps_it_from_being_overfitted(taught, twin, text):
    donor, material, reading = twin
    target = material.target
    little, calibration = (
        CachedRows(target, windows, range(LAYERS + 1))
        for windows in (
            windows_of(target, text.train)[:2], windows_of(target, text.calibration),
        )
    )  # fmt: skip
    material = dataclasses.replace(material, train=little, calibration=calibration)
    start = Correction(reading, donor.correction.module)
    config = dataclasses.replace(QUICK, tokens=128, learning_rate=5e-3)
    alone, unweighted, weighted = (
        fit_by(name, start, material, dataclasses.replace(config, donor_tokens=tokens)).correction
        for name, tokens in (("lm", 0), (taught, 0), (taught, 1280))
    )
    assert hash_tensors(alone.state_dict()) == hash_tensors(unweighted.state_dict())
    windows = windows_of(target, text.eval)
    scores = score_documents(target, windows, {"raw": None, "alone": alone, "weighted": weighted})
    gained = {name: scores["raw"].per_token - score.per_token for name, score in scores.items()}
    assert gained["weighted"] > 1.2 * gained["alone"] > 0
