"""Moving a module from core to core, on a twin for which the right maps are known to exist."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from tests.calibration.by_closed_form import calibrate
from tests.calibration.tiny_training import D_ABI, windows_of
from tests.tiny import LAYERS, WIDTH, permuted_twin, tiny_backbone
from transplant.alignment.tokens import count_tokens
from transplant.backbones.core import CoreBackbone
from transplant.backbones.fingerprint import hash_tensors
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import Pairing, align, pair_for_move, want
from transplant.calibration.output_map import map_outputs
from transplant.errors import InputError
from transplant.evaluation.likelihood import score_documents
from transplant.modules.core import CoreCorrection, CoreHosted, untrained_in_core
from transplant.modules.correction import Correction
from transplant.modules.hosted import HostedModel
from transplant.modules.tensors import load_tensors
from transplant.modules.untrained import random_module
from transplant.training.config import TrainConfig
from transplant.training.loop import new_correction, train_module
from transplant.workflows.move.controls import copied_over

CONFIG = MoveConfig(excerpts=60, excerpt_chars=240, held_out_excerpts=12, stride=1, taps=(LAYERS,))
TRAIN = TrainConfig(steps=80, batch=4, window=64, evaluate_every=20, learning_rate=0.01, patience=9)


def bare_core(tokenizer, seed=1, **changes) -> CoreBackbone:
    core = tiny_backbone("layercake", tokenizer, seed, **{"domain_modules": {}, **changes})
    assert isinstance(core, CoreBackbone)
    return core


@pytest.fixture(scope="module")
def donor(tiny_tokenizer, text):
    """A core that runs a module which was trained inside it."""
    core = bare_core(tiny_tokenizer)
    trained = train_module(
        core, windows_of(core, text.train), windows_of(core, text.calibration), TRAIN,
        start=untrained_in_core(core, "lite", 0),
    )  # fmt: skip
    inside = core.model.add_domain_module("tales", "lite", seed=0)
    load_tensors(inside, trained.correction.module.state_dict(), "tales")
    return CoreHosted(core, "tales")


@pytest.fixture(scope="module")
def counts(donor, text):
    windows = windows_of(donor.backbone, text.train)
    return count_tokens((i for window in windows for i in window.ids), donor.tokenizer)


def twin_of(donor, *, same_abi) -> Any:
    draw = torch.Generator().manual_seed(4)
    order, abi_order = (torch.randperm(size, generator=draw) for size in (WIDTH, D_ABI))
    return permuted_twin(donor.backbone, order, torch.arange(D_ABI) if same_abi else abi_order)


def read_both(donor, target, text, counts) -> Pairing:
    return pair_for_move(donor, target, text, counts, CONFIG)


def recovered(donor, target, systems, text):
    """The share of the native's gain that each system brings, on documents held out so far."""
    windows = windows_of(target, text.eval)
    found = score_documents(target, windows, {"raw": None, **systems})
    native = score_documents(donor.backbone, windows, {"native": donor.correction})["native"]
    raw = found["raw"].per_token
    gap = raw - native.per_token
    assert gap > 0.5
    return {name: (raw - score.per_token) / gap for name, score in found.items()}


@pytest.fixture(scope="module")
def moved(donor, text, counts):
    """The donor's module, moved to a twin whose shared space is in another order."""
    target = twin_of(donor, same_abi=False)
    pairing = read_both(donor, target, text, counts)
    with target.frozen(), donor.backbone.frozen():
        output_map = map_outputs(donor.backbone, target, counts, CONFIG)
        bridge, wanted = align(pairing, CONFIG), want(pairing, output_map, CONFIG)
        calibration = windows_of(target, text.calibration)
        candidate = calibrate(pairing, bridge.interface, wanted, calibration, CONFIG)
    return pairing, bridge, candidate.correction


def test_the_twin_is_the_donors_function_in_another_order(donor, text):
    twin, core = twin_of(donor, same_abi=False), donor.backbone
    windows = windows_of(core, text.eval)[:2]
    ours, theirs = core.read(windows, core.all_taps), twin.read(windows, core.all_taps)
    torch.testing.assert_close(
        twin.head(theirs.h_last), core.head(ours.h_last), rtol=1e-4, atol=1e-4
    )
    assert (ours.h_last - theirs.h_last).abs().max() > 0.5
    assert not twin.modules


def test_the_bridge_puts_the_shared_space_back_in_order(moved):
    quality = moved[1].quality
    assert quality.r2 > 0.999
    assert quality.cosine_after > 0.999 > quality.cosine_before + 0.5


def test_the_module_arrives_with_the_donors_bytes(donor, moved):
    _, _, correction = moved
    sha = hash_tensors(donor.correction.module.state_dict())
    assert hash_tensors(correction.module.state_dict()) == sha
    inside = donor.backbone.model.model.domain_modules["tales"]
    assert hash_tensors(inside.state_dict()) == sha
    assert not isinstance(correction, CoreCorrection)  # it reads by fitted maps, not by the core's
    assert hash_tensors(random_module(correction.module, 0).state_dict()) != sha


def test_the_moved_module_recovers_more_than_its_bytes_and_than_a_random_one(donor, moved, text):
    pairing, _, correction = moved
    systems = {
        "candidate": correction,
        "random_module": Correction(
            correction.interface, random_module(pairing.correction.module, CONFIG.seed)
        ),
        **copied_over(pairing),
    }
    found = recovered(donor, pairing.target, systems, text)
    assert found["candidate"] > 0.6
    assert found["candidate"] > found["random_module"] + 0.15
    assert found["pasted"] < 0.2


def test_where_the_shared_space_is_the_same_the_pasted_bytes_are_the_whole_module(
    donor, text, counts
):
    """The control of the control: `pasted` fails for the order of the space, nothing else."""
    twin = twin_of(donor, same_abi=True)
    pasted = copied_over(read_both(donor, twin, text, counts))
    assert recovered(donor, twin, pasted, text)["pasted"] == pytest.approx(1.0, abs=1e-4)


def test_pasted_is_what_the_target_core_computes_with_the_bytes_inside(
    donor, text, tiny_tokenizer, counts
):
    target = bare_core(tiny_tokenizer, seed=3)
    pasted = copied_over(read_both(donor, target, text, counts))["pasted"]
    windows = windows_of(target, text.eval)[:2]
    states = target.read(windows, pasted.taps)
    with torch.no_grad():
        found = target.head(states.h_last + pasted(states.taps, states.windows))
    raw = target.head(states.h_last)
    inside = target.model.add_domain_module("tales", "lite", seed=0)
    load_tensors(inside, donor.correction.module.state_dict(), "tales")
    expected = target.head(target.read(windows).h_last)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (raw - expected).abs().max() > 0.1


def test_pasted_is_there_for_a_core_of_the_same_d_abi_alone(donor, text, tiny_tokenizer, counts):
    wider = {"hidden_size": 48, "num_hidden_layers": 1}
    for target, names in (
        (bare_core(tiny_tokenizer, 3), {"pasted"}),
        (bare_core(tiny_tokenizer, 3, **wider), {"pasted"}),
        (bare_core(tiny_tokenizer, 3, d_abi=8), set()),
        (tiny_backbone("gpt2", tiny_tokenizer), set()),
    ):
        config = dataclasses.replace(CONFIG, taps=(-1,), excerpts=4, held_out_excerpts=2)
        pairing = pair_for_move(donor, target, text, counts, config)
        assert copied_over(pairing).keys() == names
        with_interface = HostedModel("m@b", target, new_correction(target.d_model, 8, (1,), 0))
        again = pair_for_move(with_interface, target, text, counts, config)
        assert copied_over(again).keys() == {"direct_copy"}


def test_a_module_that_reads_whole_windows_is_refused(donor, text, counts, tiny_tokenizer):
    core = bare_core(tiny_tokenizer, domain_modules={"tales": {"form": "full"}})
    hosted = CoreHosted(core, "tales")
    with pytest.raises(
        InputError, match=r"tales@tiny-layercake reads whole windows.*lite"
    ) as found:
        read_both(hosted, donor.backbone, text, counts)
    assert "`paste()`" in str(found.value)
