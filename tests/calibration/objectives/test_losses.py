"""Each objective, by hand and against autograd through logits that are all kept."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional

from tests.tiny import WIDTH, tiny_backbone
from transplant.alignment.logits import likely_change
from transplant.calibration.objectives import donor_changes
from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.corr_mse_weighted import mean_curvature
from transplant.calibration.objectives.spec import SPECS, spec_of
from transplant.calibration.objectives.table import LOSSES
from transplant.errors import InputError
from transplant.text.windows import cut_windows
from transplant.training import losses
from transplant.training.schedule import four_phases

LIKELY = 5
TAUGHT = ("donor-kd", "donor-changes", "kl", "kd", "logit-mse")
CORRECTED = ("corr-mse", "corr-mse-weighted", "corr-mse-curriculum")


@pytest.fixture
def batch(tiny_tokenizer, tiny_corpus, monkeypatch):
    monkeypatch.setattr(losses, "ROWS", 7)  # several blocks, the last one shorter
    target = tiny_backbone("llama", tiny_tokenizer)
    states = target.read(cut_windows(tiny_corpus[:1], tiny_tokenizer, 30)[:2]).labelled()
    teacher_correction = torch.randn(len(states), WIDTH, generator=torch.Generator().manual_seed(1))
    raw = target.head(states.h_last)
    wanted = likely_change(raw, target.head(states.h_last + teacher_correction) - raw, LIKELY)
    monkeypatch.setattr(donor_changes, "VECTORS", 4 * LIKELY * WIDTH * 7)  # here, too
    return Batch(
        target, states, teacher_correction, lambda h, a: target.head(h + a), wanted_change=wanted
    )


def change_for(batch):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(len(batch), WIDTH, generator=generator).requires_grad_()


def by_hand(name, batch, change):
    teacher = batch.target.head(batch.states.h_last + batch.teacher_correction).detach()
    student = batch.target.head(batch.states.h_last + change)
    if name in ("kl", "donor-kd"):
        p = teacher.softmax(-1)
        return (p * (teacher.log_softmax(-1) - student.log_softmax(-1))).sum(-1).mean()
    if name == "donor-changes":
        wanted = batch.wanted_change
        reached = (change @ batch.target.unembedding.T).gather(1, wanted.tokens)
        left = reached - wanted.change
        mean = (wanted.weights * left).sum(1, keepdim=True)
        return (wanted.weights * (left - mean) ** 2).sum(1).mean()
    if name == "kd":
        p = (teacher / 2).softmax(-1)
        soft = (p * ((teacher / 2).log_softmax(-1) - (student / 2).log_softmax(-1))).sum(-1).mean()
        return 0.9 * 4 * soft + 0.1 * functional.cross_entropy(student, batch.states.labels)
    if name == "logit-mse":
        return ((teacher - student) ** 2).mean()
    assert name == "lm"
    return functional.cross_entropy(student, batch.states.labels)


@pytest.mark.parametrize("name", [*TAUGHT, "lm"])
def test_value_and_gradient_are_those_of_the_formula(name, batch):
    ours, theirs = change_for(batch), change_for(batch)
    value, expected = LOSSES[name](batch, ours, 0.5), by_hand(name, batch, theirs)
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
    (3 * value).backward()
    (3 * expected).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)
    assert batch.target.unembedding.grad is None


@pytest.mark.parametrize("name", [*(name for name in TAUGHT if name != "donor-changes"), "lm"])
def test_a_rounded_head_turns_the_gradient_a_little_and_leaves_what_decides(name, batch):
    rounded = dataclasses.replace(batch, head_type=torch.bfloat16)
    ours, theirs = change_for(batch), change_for(batch)
    LOSSES[name](rounded, ours, 0.5).backward()
    LOSSES[name](batch, theirs, 0.5).backward()
    assert not torch.equal(ours.grad, theirs.grad)
    cosine = functional.cosine_similarity(ours.grad.flatten(), theirs.grad.flatten(), dim=0)
    assert cosine > 0.999
    with torch.no_grad():
        assert LOSSES[name](rounded, ours, 0.5) == LOSSES[name](batch, ours, 0.5)


@pytest.mark.parametrize("name", [name for name in (*TAUGHT, *CORRECTED) if name != "kd"])
def test_the_teachers_own_correction_is_the_minimum(name, batch):
    right = batch.teacher_correction.clone().requires_grad_()
    value = LOSSES[name](batch, right, 1.0)
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert LOSSES[name](batch, change_for(batch), 1.0) > 0.01
    value.backward()
    assert right.grad.abs().max() < 1e-5


def test_half_of_donor_changes_is_the_divergence_of_a_small_change(batch):
    target, states = batch.target, batch.states
    small = 0.05 * batch.teacher_correction
    raw, nothing = target.head(states.h_last), torch.zeros_like(small)
    wanted = likely_change(raw, target.head(states.h_last + small) - raw, target.vocab_size)
    taught = dataclasses.replace(batch, teacher_correction=small, wanted_change=wanted)
    divergence = LOSSES["donor-kd"](taught, nothing, 0.5)
    assert divergence > 0
    half = LOSSES["donor-changes"](taught, nothing, 0.5) / 2
    torch.testing.assert_close(half, divergence, rtol=0.02, atol=0)


@pytest.mark.parametrize("soft_cap", [None, 1.0])
def test_so_it_is_of_what_has_been_learned_so_far_behind_a_soft_cap_too(
    batch, tiny_tokenizer, soft_cap
):
    target = tiny_backbone("gemma2", tiny_tokenizer, final_logit_softcapping=soft_cap)
    states, small = batch.states, 0.05 * batch.teacher_correction
    learned = (0.05 * change_for(batch)).detach().requires_grad_()
    raw = target.head(states.h_last)
    change = target.head(states.h_last + small) - raw
    wanted = likely_change(raw, change, target.vocab_size, soft_cap)
    taught = dataclasses.replace(
        batch, target=target, teacher_correction=small, wanted_change=wanted,
        teach=lambda h, a: target.head(h + a),
    )  # fmt: skip
    slopes = []
    for name, factor in (("donor-kd", 1.0), ("donor-changes", 0.5)):
        value = factor * LOSSES[name](taught, learned, 0.5)
        slopes += torch.autograd.grad(value, learned)
        if name == "donor-kd":
            divergence = value.item()
    assert value.item() == pytest.approx(divergence, rel=0.05)
    assert (slopes[0] - slopes[1]).norm() < 0.1 * slopes[0].norm()


def test_corr_mse_by_hand(batch):
    change = change_for(batch)
    expected = ((change - batch.teacher_correction) ** 2).sum() / change.numel()
    torch.testing.assert_close(LOSSES["corr-mse"](batch, change, 0.0), expected)


def test_the_curriculum_begins_with_the_smallest_quarter(batch):
    change = change_for(batch)
    order = batch.teacher_correction.norm(dim=-1).argsort()
    quarter = order[: round(len(order) / 4)]
    expected = ((change - batch.teacher_correction)[quarter] ** 2).mean()
    torch.testing.assert_close(LOSSES["corr-mse-curriculum"](batch, change, 0.0), expected)
    for done in (0.5, 1.0):
        torch.testing.assert_close(
            LOSSES["corr-mse-curriculum"](batch, change, done),
            LOSSES["corr-mse"](batch, change, done),
        )


def test_the_weighted_error_does_not_see_what_no_logit_sees(batch):
    """A change that the head does not read costs nothing; corr-mse counts it in full."""
    head = batch.target.unembedding
    with torch.no_grad():
        head[:, 0] = head[:, 1]  # no logit depends on the difference of the two
    unseen = batch.teacher_correction.clone()
    unseen[:, 0] += 5.0
    unseen[:, 1] -= 5.0
    assert LOSSES["corr-mse-weighted"](batch, unseen, 0.0) < 1e-3
    assert LOSSES["corr-mse"](batch, unseen, 0.0) > 1.0


def test_the_curvature_is_the_second_derivative_of_the_divergence():
    generator = torch.Generator().manual_seed(3)
    head = torch.randn(9, 4, generator=generator).double()
    logits = torch.randn(5, 9, generator=generator).double()

    def divergence(shift):
        moved = (logits + head @ shift).log_softmax(-1)
        return (logits.softmax(-1) * (logits.log_softmax(-1) - moved)).sum(-1).mean()

    zero = torch.zeros(4).double()
    hessian = torch.autograd.functional.hessian(divergence, zero)
    torch.testing.assert_close(mean_curvature(logits.softmax(-1), head), hessian)


def test_every_objective_is_described_and_every_described_one_exists():
    learnt = {name for name, spec in SPECS.items() if spec.learn is not None}
    assert learnt == LOSSES.keys()
    assert all(spec.needs for spec in SPECS.values())
    with pytest.raises(InputError, match="unknown `objective`"):
        spec_of("magic")


def test_four_phases_are_the_published_ones():
    rates = [5e-3 * four_phases(step, 16_000) for step in (0, 399, 3999, 4000, 7000, 10_000)]
    assert rates == pytest.approx([5e-3 / 400, 5e-3, 5e-3, 5e-4, 5e-5, 5e-6])
    assert four_phases(15_999, 16_000) == pytest.approx(1e-3)
