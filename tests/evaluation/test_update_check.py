"""One check of a module after an update, on a tiny backbone."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from tests.tiny import tiny_backbone
from transplant.backbones.fingerprint import hash_parameters, hash_tensors
from transplant.calibration.config import RepairConfig
from transplant.text.splits import split_documents
from transplant.text.spread import spread_windows
from transplant.training.config import TrainConfig, UpdateConfig
from transplant.training.loop import train_module
from transplant.training.update import update_backbone
from transplant.workflows.update.check import Checking, DomainText, check_update, score_before

RECIPE = TrainConfig(
    d_abi=16, steps=40, batch=4, window=64, evaluate_every=10, learning_rate=0.01, patience=9
)


@pytest.fixture(scope="module")
def checking(tiny_corpus, tiny_tokenizer):
    """A trained module on a tiny Llama, with its text."""
    backbone = tiny_backbone("llama", tiny_tokenizer, seed=1)
    splits = split_documents(tiny_corpus)
    sides = [
        spread_windows(side, tiny_tokenizer, 64, 4000)
        for side in (splits.train, splits.calibration, splits.eval)
    ]
    correction = train_module(backbone, sides[0], sides[1], RECIPE).correction
    return Checking(
        original=backbone,
        correction=correction.requires_grad_(False),
        text=DomainText(*sides),
        shared=sides[0][:10],
        recipe=RECIPE,
        repair=RepairConfig(),
    )


def checked(checking, steps, rate):
    before = (
        hash_parameters(checking.original.model),
        hash_tensors(checking.correction.state_dict()),
    )
    config = UpdateConfig(steps=steps, learning_rate=rate, window=64)
    updated = update_backbone(
        checking.original, checking.text.train[:8], config, [checking.correction.interface]
    )
    found = check_update(
        checking, updated.backbone, updated.interfaces[0], score_before(checking), seed=1
    )
    after = hash_parameters(checking.original.model), hash_tensors(checking.correction.state_dict())
    assert before == after
    return found


def test_an_update_that_hardly_moves_keeps_the_modules_worth(checking):
    found = checked(checking, steps=1, rate=1e-7)
    assert found.ppl["raw_updated"] == pytest.approx(found.ppl["raw"], rel=1e-3)
    assert found.ppl["zero_shot"] == pytest.approx(found.ppl["with_module"], rel=1e-3)
    assert found.ppl["repaired"] == pytest.approx(found.ppl["with_module"], rel=1e-3)
    assert found.efficacies["zero_shot"].ppl.mean > 0.5
    assert found.efficacies["random_module"].ppl.mean < found.efficacies["zero_shot"].ppl.mean
    # A random module that is fitted to the old one's outputs regains some: never all.
    assert found.ppl["zero_shot"] < found.ppl["random_repaired"] < found.ppl["random_module"]
    assert found.native_steps <= RECIPE.steps
    # The native has to train for a while to be as good as a module that was trained.
    assert found.match_seconds is None or 0 < found.match_seconds <= found.native_seconds
    assert found.speedup * found.repair_seconds == pytest.approx(
        found.match_seconds or found.native_seconds
    )


def test_a_module_that_is_worth_little_is_matched_at_the_first_look(checking):
    muted = dataclasses.replace(checking, correction=_muted(checking.correction))
    found = checked(muted, steps=1, rate=1e-7)
    assert found.match_seconds is not None
    assert found.match_seconds < found.native_seconds
    assert found.efficacies["zero_shot"].ppl.mean == pytest.approx(0.0, abs=1e-3)


def _muted(correction):
    silent = copy.deepcopy(correction)
    silent.interface.proj_out.weight.zero_()
    silent.interface.proj_out.bias.zero_()
    return silent
