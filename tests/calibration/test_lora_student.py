"""The student `lora`: what a donor teaches it, and what nothing of the donor's does."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.calibration.tiny_training import windows_of
from tests.calibration.tuned_scene import tuned_scene
from tests.tiny import tiny_backbone
from transplant.calibration import large_vocabulary
from transplant.calibration.objectives import donor_kd
from transplant.calibration.objectives.donor_kd import DonorTeacher
from transplant.calibration.output_map import DonorMix
from transplant.calibration.pairs import PairedText
from transplant.calibration.students.linear import fit_linear
from transplant.calibration.students.lora_controls import lora_controls
from transplant.calibration.students.lora_gain import lora_gain, still, text_loss
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.table import fit_student
from transplant.calibration.students.taught_windows import TaughtWindows
from transplant.errors import InputError
from transplant.evaluation.likelihood import score_documents
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.start import new_lora, product_norm, untrained_like

RECIPE = LoraRecipe(
    rank=4, alpha=8, steps=50, trial_steps=10, evaluate_every=10, rates=(1e-4, 3e-2), patience=3
)


@pytest.fixture(scope="module")
def scene(text, tiny_texts):
    made = tuned_scene(text, tiny_texts, two_heads=False)
    return dataclasses.replace(made, lesson=dataclasses.replace(made.lesson, lora=RECIPE))


@pytest.fixture(scope="module")
def linear(scene):
    return fit_linear(scene.lesson)


@pytest.fixture(scope="module")
def learned(scene, linear):
    with scene.target.frozen():
        return fit_student("lora", scene.lesson, linear)


def test_a_lora_learns_what_the_donor_has_and_its_controls_do_not(scene, linear, learned, text):
    controls = lora_controls(scene.lesson, linear, learned)
    target = scene.target
    updates = {"candidate": learned.correction, **controls}
    systems = {name: LoraModel(name, target, update) for name, update in updates.items()}
    windows = windows_of(target, text.eval)
    found = score_documents(target, windows, {"raw": None, **systems})
    ceiling = score_documents(scene.tuned, windows, {"tuned": None})["tuned"].per_token
    raw = found["raw"].per_token
    share = {name: (raw - one.per_token) / (raw - ceiling) for name, one in found.items()}
    assert share["candidate"] > 0.5
    assert share["shuffled_lora"] < 0.5 * share["candidate"]
    assert share["untrained_lora"] < 0.1 * share["candidate"]


def test_likely_tokens_teach_as_well(scene, linear, learned, text, monkeypatch):
    monkeypatch.setattr(large_vocabulary, "WHOLE", 10)
    recipe = dataclasses.replace(RECIPE, rates=(3e-2,))
    lesson, target = dataclasses.replace(scene.lesson, lora=recipe), scene.target
    with target.frozen():
        found = fit_student("lora", lesson, linear)
    windows = windows_of(target, text.eval)
    systems = {
        name: LoraModel(name, target, one.correction)
        for name, one in (("likely", found), ("all", learned))
    }
    scores = score_documents(target, windows, {"raw": None, **systems})
    gained = {name: scores["raw"].per_token - score.per_token for name, score in scores.items()}
    assert gained["likely"] > 0.8 * gained["all"] > 0


def test_the_calibration_split_chooses_rate_step_and_gain(scene, learned):
    facts, windows = learned.facts["learned"], scene.lesson.calibration
    assert facts["learning_rate"] == 3e-2
    assert facts["tried_rates"]["0.03"] < facts["tried_rates"]["0.0001"]
    best = min(facts["calibration"], key=lambda look: look[1])
    assert facts["best_step"] == best[0] > 0
    model = LoraModel("lora", scene.target, learned.correction)
    assert text_loss(scene.target, model, windows) == pytest.approx(learned.loss, abs=1e-6)
    assert learned.loss <= best[1]


def test_the_gain_is_the_best_of_all_that_are_tried(scene, learned):
    target, windows = scene.target, scene.lesson.calibration
    gains = (0.0, 0.5, 1.0, 1.5)
    twice = still(learned.correction, 2.0)  # so that half of it is near the best
    losses = {
        gain: text_loss(target, LoraModel("lora", target, still(twice, gain)), windows)
        for gain in gains
    }
    found = lora_gain(target, twice, windows, gains, {})
    assert found[0] == min(losses, key=losses.get)
    assert found[1] == pytest.approx(min(losses.values()))


def test_the_rows_that_learn_are_those_that_pair(scene, linear):
    lesson, target = scene.lesson, scene.target
    fitted = lesson.pairing.fitted
    teacher = DonorTeacher(target, lesson.output_map, linear.donor_mix)
    taught = TaughtWindows(target, fitted, lesson.pairing.change, teacher, 5)
    pairs = 0
    for number in range(len(taught)):
        some = taught.unit(number, torch.float32)
        states = target.read(some.windows)
        torch.testing.assert_close(states.h_last[some.rows], some.batch.states.h_last)
        assert torch.equal(states.ends[some.rows], some.batch.states.ends)
        pairs += len(some.rows)
    assert pairs == fitted.rows
    with pytest.raises(InputError, match="needs text to read"):
        TaughtWindows(target, PairedText(fitted.batches), lesson.pairing.change, teacher, 5)


def test_a_teacher_of_a_few_rows_at_a_time_teaches_the_same(scene, monkeypatch):
    lesson = scene.lesson
    rows = lesson.pairing.fitted.batches[0]
    teacher = DonorTeacher(scene.target, lesson.output_map, DonorMix(0.3, 0.5))
    correction = teacher.correction(lesson.pairing.change, rows.donor)
    assert correction.shape[1] == 2 * lesson.output_map.donor_head.shape[1]
    expected = teacher.logits(rows.target.h_last, correction)
    seen = []
    whole = donor_kd.change_of_logits

    def watched(*args):
        seen.append(whole(*args))
        return seen[-1]

    monkeypatch.setattr(donor_kd, "LOGITS", 7 * donor_kd.COPIES * len(lesson.output_map.donor_head))
    monkeypatch.setattr(donor_kd, "change_of_logits", watched)
    torch.testing.assert_close(teacher.logits(rows.target.h_last, correction), expected)
    assert max(len(block) for block in seen) == 7


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "gemma2"])
def test_every_linear_map_but_the_head_is_adapted_or_those_that_are_named(family, tiny_tokenizer):
    backbone = tiny_backbone(family, tiny_tokenizer)
    update, head = new_lora(backbone, 2, 4.0), backbone.model.get_output_embeddings()
    modules = dict(backbone.model.named_modules())
    left = {
        name for name, module in modules.items()
        if type(module).__name__ in ("Linear", "Conv1D") and name not in update.pairs
    }  # fmt: skip
    assert {name for name in left if modules[name] is not head} == set()
    assert all(not pair.b.detach().any() for pair in update.pairs.values())
    some = next(iter(update.pairs)).rpartition(".")[2]
    named = new_lora(backbone, 2, 4.0, (some,)).pairs
    assert named
    assert all(name.endswith(some) for name in named)
    with pytest.raises(InputError, match="no linear map of that name"):
        new_lora(backbone, 2, 4.0, (some, "nowhere"))
    with pytest.raises(InputError, match="is not adapted here"):
        new_lora(backbone, 2, 4.0, ("lm_head",))


def test_untrained_pairs_are_as_large_map_by_map(learned):
    drawn = untrained_like(learned.correction, 0)
    for name, pair in learned.correction.pairs.items():
        ours, theirs = drawn.pairs[name], float((pair.b @ pair.a).norm())
        assert product_norm(ours.a, ours.b) == pytest.approx(theirs, rel=1e-3)
        assert not torch.allclose(ours.a, pair.a)
