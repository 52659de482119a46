"""Uncertainty: entropies of known distributions, and members that agree or do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.tiny import WIDTH, tiny_backbone
from transplant.errors import InputError
from transplant.evaluation import logit_rows
from transplant.evaluation.likelihood import score_documents
from transplant.evaluation.logit_rows import LogitRows
from transplant.evaluation.members import (
    dropout_members,
    ensemble_members,
    perturbed_members,
)
from transplant.evaluation.scoring import hosted_rows
from transplant.evaluation.uncertainty import error_auroc, token_nats, token_uncertainty
from transplant.evaluation.uq_config import UqConfig
from transplant.evidence.uq import members_of
from transplant.modules.gate import Gate
from transplant.modules.hosted import HostedModel
from transplant.text.windows import cut_windows
from transplant.training.loop import new_correction
from transplant.workflows.work import Work

ROWS, VOCAB = 40, 30
WORK = Work(library=None)


def rows(seed: int, scale: float = 2.0) -> LogitRows:
    drawn = torch.randn(ROWS, VOCAB, generator=torch.Generator().manual_seed(seed)) * scale
    return LogitRows(drawn, lambda logits: logits, VOCAB)


LABELS = torch.arange(ROWS) % VOCAB


def test_entropies_are_those_of_scipy():
    from scipy.stats import entropy

    own, members = rows(0), [rows(1), rows(2), rows(3)]
    found = token_uncertainty(own, members, LABELS)
    p = [m.dense().double().softmax(1).numpy() for m in members]
    np.testing.assert_allclose(found.entropy, entropy(own.dense().double().softmax(1).T), atol=1e-9)
    outer = entropy(np.mean(p, 0).T)
    inner = np.mean([entropy(one.T) for one in p], 0)
    np.testing.assert_allclose(found.predictive_entropy, outer, atol=1e-9)
    np.testing.assert_allclose(found.mutual_information, outer - inner, atol=1e-9)
    np.testing.assert_allclose(
        found.mean_nats, -np.log(np.mean(p, 0)[range(ROWS), LABELS]), atol=1e-9
    )


def test_members_that_agree_share_no_information_and_opposed_ones_much():
    alike = token_uncertainty(rows(0), [rows(1)] * 4, LABELS)
    assert alike.mutual_information.max() < 1e-9
    torch.testing.assert_close(alike.predictive_entropy, token_uncertainty(
        rows(1), [rows(1)], LABELS).entropy)  # fmt: skip
    sure = [LogitRows(torch.eye(VOCAB)[[k] * ROWS] * 1e3, lambda x: x, VOCAB) for k in (3, 7)]
    opposed = token_uncertainty(rows(0), sure, LABELS)
    torch.testing.assert_close(
        opposed.mutual_information, torch.full((ROWS,), math.log(2), dtype=torch.float64)
    )


def test_blocks_of_rows_change_nothing(monkeypatch):
    whole = token_uncertainty(rows(0), [rows(1), rows(2)], LABELS)
    nats = token_nats(rows(0), LABELS)
    monkeypatch.setattr(logit_rows, "BYTES", 4 * 6 * VOCAB * 3)
    parts = token_uncertainty(rows(0), [rows(1), rows(2)], LABELS)
    for name, value in vars(whole).items():
        assert torch.equal(value, getattr(parts, name)), name
    assert torch.equal(nats, token_nats(rows(0), LABELS))
    torch.testing.assert_close(nats, whole.nats)


def test_auroc_is_the_share_of_ordered_pairs():
    draw = np.random.default_rng(0)
    doubt, right = draw.integers(0, 6, 80).astype(float), draw.random(80) < 0.6
    wrong, fine = doubt[~right][:, None], doubt[right][None]
    expected = ((wrong > fine) + 0.5 * (wrong == fine)).mean()
    assert error_auroc(doubt, right) == pytest.approx(expected)
    assert error_auroc(doubt, np.ones(80, dtype=bool)) is None


@pytest.fixture(scope="module")
def scene(tiny_corpus, tiny_tokenizer):
    """Windows, a raw model and one with a module."""
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    correction = new_correction(WIDTH, 16, (0, 2), 0).eval()
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.3)
    hosted = HostedModel("hosted", backbone, correction)
    return cut_windows(tiny_corpus[:2], tiny_tokenizer, 40)[:3], backbone, hosted


def spread(members, window) -> float:
    """How far the members' logits are apart."""
    return float(torch.stack([m.dense() for m in members.read(window)]).std(0).mean())


def test_perturbations_are_small_seeded_and_leave_the_model_alone(scene):
    windows, backbone, hosted = scene
    for model in (HostedModel("raw", backbone), hosted):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        members = perturbed_members(model, 3, scale=0.05, seed=1)
        again = perturbed_members(model, 3, scale=0.05, seed=1)
        other = perturbed_members(model, 3, scale=0.5, seed=1)
        for one, same in zip(members.read(windows[0]), again.read(windows[0]), strict=True):
            assert torch.equal(one.dense(), same.dense())
        assert 0 < spread(members, windows[0]) < spread(other, windows[0])
        own = hosted_rows(model, windows[0]).dense()
        tiny = perturbed_members(model, 2, scale=1e-6).read(windows[0])
        torch.testing.assert_close(tiny[0].dense(), own, atol=1e-3, rtol=1e-3)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("whole", [False, True])
def test_two_seeds_have_no_member_in_common(whole, scene):
    windows, backbone, hosted = scene
    model = hosted if whole else HostedModel("raw", backbone)
    both = [perturbed_members(model, 4, scale=0.5, seed=seed).read(windows[0]) for seed in (1, 2)]
    ours, theirs = ([one.dense() for one in some] for some in both)
    assert not any(torch.equal(one, other) for one in ours for other in theirs)


def test_a_shut_gate_keeps_the_perturbed_module_out(scene):
    windows, backbone, hosted = scene
    gate = Gate(16)
    gate.bias.fill_(-1.0)
    shut = HostedModel("shut", backbone, hosted.correction, gate)
    assert spread(perturbed_members(shut, 3, scale=0.5), windows[0]) == 0.0
    assert spread(perturbed_members(hosted, 3, scale=0.5), windows[0]) > 0.0  # control


def test_dropout_works_in_members_alone(scene, tiny_tokenizer):
    windows, _, hosted = scene
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    model = HostedModel("raw", backbone)
    with pytest.raises(InputError, match="no dropout"):
        dropout_members(model, 2)
    for module in backbone.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.2
    own, state = hosted_rows(model, windows[0]).dense(), torch.get_rng_state()
    one, other = (dropout_members(model, 3, seed=5).read(windows[0]) for _ in range(2))
    assert torch.equal(one[0].dense(), other[0].dense())
    assert not torch.equal(one[0].dense(), one[1].dense())
    assert torch.equal(own, hosted_rows(model, windows[0]).dense())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("family", "rates"),
    [("opt", {"dropout": 0.3}), ("llama", {"attention_dropout": 0.3}), ("gpt2", {})],
)
def test_dropout_that_is_no_layer_of_its_own_is_found(family, rates, scene, tiny_tokenizer):
    windows, *_ = scene
    model = HostedModel("it", tiny_backbone(family, tiny_tokenizer, **rates))
    for name, module in model.named_modules():
        if name.endswith("attn_dropout"):
            module.p = 0.3
    own = hosted_rows(model, windows[0]).dense()
    assert spread(dropout_members(model, 3), windows[0]) > 0.001
    assert members_of(WORK, model, UqConfig(members=3)).method == "dropout"
    with pytest.raises(InputError, match="dropout has no use for `scale`"):
        members_of(WORK, model, UqConfig(scale=0.1))
    assert members_of(WORK, model, UqConfig(method="perturb", scale=0.1)).method == "perturb"
    assert torch.equal(own, hosted_rows(model, windows[0]).dense())
    assert not any(module.training for module in model.modules())


def test_an_ensemble_has_two_models_or_more(scene):
    windows, backbone, hosted = scene
    members = ensemble_members([HostedModel("raw", backbone), hosted])
    assert len(members.read(windows[0])) == members.count == 2
    with pytest.raises(InputError, match="2 models"):
        ensemble_members([hosted])


def test_nats_are_those_of_the_likelihood(scene):
    windows, backbone, hosted = scene
    expected = score_documents(backbone, windows, {"x": hosted.correction})["x"]
    total = 0.0
    for window in windows:
        labels = torch.tensor(backbone.rows_of(window).labels[:-1])
        total += float(token_nats(hosted_rows(hosted, window)[: len(labels)], labels).sum())
    assert total == pytest.approx(float(expected.nats.sum()), rel=1e-6)
