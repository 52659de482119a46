"""Students of a tuned donor: what is recovered on a target where the best move is known."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.calibration.tiny_training import windows_of
from tests.calibration.tuned_scene import CONFIG, tuned_scene
from tests.tiny import WIDTH
from transplant.calibration import large_vocabulary
from transplant.calibration.changes.spec import CHANGES
from transplant.calibration.output_map import DonorMix, change_of_logits
from transplant.calibration.students import module_new, table
from transplant.calibration.students.controls import student_controls, turned_change
from transplant.calibration.students.learned import Learned
from transplant.calibration.students.linear import fit_linear
from transplant.calibration.students.module_controls import module_controls
from transplant.calibration.students.module_new import untaught_module, whitened
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.spec import candidates_of, learned_by
from transplant.calibration.students.table import check_named, fit_student
from transplant.errors import InputError
from transplant.evaluation.likelihood import score_documents
from transplant.modules.correction import Correction
from transplant.modules.tuned import TunedPair
from transplant.progress import SilentReporter
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.update import LoraUpdate, Pair

QUICK = dataclasses.replace(module_new.LEARN, steps=30, evaluate_every=15)


@pytest.fixture(scope="module", params=["one head", "two heads"])
def scene(request, text, tiny_texts):
    return tuned_scene(text, tiny_texts, two_heads=request.param == "two heads")


def test_the_change_is_that_of_the_logits_whatever_the_heads(scene, text):
    windows = windows_of(scene.tuned, text.eval)[:3]
    pair, tap = scene.donor.pair, scene.donor.pair.change_tap
    assert pair.one_head == (scene.donor.backbone.d_model == WIDTH)
    states = pair.read(windows, [tap])
    expected = [
        backbone.head(backbone.read(windows).h_last) for backbone in (scene.tuned, pair.base)
    ]
    head = pair.unembedding
    torch.testing.assert_close(
        states.taps[tap] @ head.T, expected[0] - expected[1], rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(states.h_last @ head.T, expected[1], rtol=1e-3, atol=1e-4)
    both = (states.h_last + states.taps[tap]) @ head.T
    torch.testing.assert_close(both, expected[0], rtol=1e-3, atol=1e-4)


def test_a_linear_student_takes_over_what_was_learned_and_its_controls_do_not(scene, text):
    choice = fit_linear(scene.lesson)
    controls = student_controls(scene.lesson, choice)
    assert controls.keys() == {"shuffled_pairs", "equal_norm"}
    windows = windows_of(scene.target, text.eval)
    systems = {"raw": None, "candidate": choice.calibrated.correction, **controls}
    found = score_documents(scene.target, windows, systems)
    ceiling = score_documents(scene.tuned, windows, {"tuned": None})["tuned"].per_token
    raw = found["raw"].per_token
    share = {n: (raw - one.per_token) / (raw - ceiling) for n, one in found.items()}
    assert raw - ceiling > 0.5
    # A head of 32 columns cannot follow what another head of 330 rows has learned.
    assert share["candidate"] > (0.8 if scene.donor.pair.one_head else 0.3)
    assert share["equal_norm"] < 0.5 * share["candidate"]
    assert share["shuffled_pairs"] < 0.5 * share["candidate"]


def test_a_map_of_the_last_layer_without_a_constant_recovers_as_well(scene, text):
    config = dataclasses.replace(CONFIG, taps=(-1,))
    windows, systems = windows_of(scene.target, text.eval), {"raw": None}
    for intercept in (True, False):
        way = dataclasses.replace(config, intercept=intercept)
        found = fit_linear(dataclasses.replace(scene.lesson, config=way)).calibrated.correction
        assert found.proj_out.bias.any() == intercept
        systems[intercept] = found
    found = {n: one.per_token for n, one in score_documents(scene.target, windows, systems).items()}
    gains = {name: found["raw"] - found[name] for name in (True, False)}
    assert gains[False] > 0.7 * gains[True] > 0


def test_a_turned_change_is_as_large_as_the_donors(scene):
    lesson = scene.lesson
    change, output_map = turned_change(lesson, CONFIG)
    batch = lesson.pairing.fitted.batches[0]
    logits = scene.target.head(batch.target.h_last)
    sizes = [
        change_of_logits(way, made(batch.donor.taps), batch.donor.h_last, logits, DonorMix()).std()
        for made, way in ((lesson.pairing.change, lesson.output_map), (change, output_map))
    ]
    assert sizes[1] == pytest.approx(sizes[0].item(), rel=0.35)


@pytest.mark.parametrize("large", [False, True])
def test_a_new_module_learns_what_the_donor_has(large, scene, text, monkeypatch):
    monkeypatch.setattr(module_new, "LEARN", QUICK)
    monkeypatch.setattr(large_vocabulary, "WHOLE", 10 if large else 10_000)
    lesson = dataclasses.replace(scene.lesson, d_abi=WIDTH + 8)
    linear = fit_linear(lesson)
    x = whitened(lesson, linear.calibrated.correction)
    batch = lesson.pairing.fitted.batches[0]
    z = x(linear.calibrated.correction.gather(batch.target.taps))
    assert z.shape[1] == WIDTH + 8
    assert z.var(0).median() == pytest.approx(1.0, abs=0.3)
    start = untaught_module(lesson, linear)
    before = {k: v.clone() for k, v in start.module.state_dict().items()}
    learned = fit_student("module-new", lesson, linear)
    taught_by = learned.facts["learned"]["objective"]
    assert taught_by == ("donor-changes" if large else "donor-kd")
    after = learned.correction.module.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    windows = windows_of(scene.target, text.eval)
    systems = {"raw": None, "untaught": start, "learned": learned.correction}
    found = score_documents(scene.target, windows, systems)
    assert found["learned"].per_token < found["untaught"].per_token < found["raw"].per_token


def test_a_new_module_has_controls_that_are_modules(scene, text, monkeypatch):
    monkeypatch.setattr(module_new, "LEARN", QUICK)
    lesson = dataclasses.replace(scene.lesson, d_abi=WIDTH + 8)
    linear = fit_linear(lesson)
    with scene.target.frozen():
        learned = fit_student("module-new", lesson, linear)
        controls = module_controls(lesson, linear)
    assert controls.keys() == {"shuffled_module", "untaught_module"}
    for one in controls.values():
        assert isinstance(one, Correction)
        assert one.module.d_abi == lesson.d_abi
    systems = {"raw": None, "candidate": learned.correction, **controls}
    found = score_documents(scene.target, windows_of(scene.target, text.eval), systems)
    gain = {name: found["raw"].per_token - one.per_token for name, one in found.items()}
    assert gain["candidate"] > 0.2
    assert gain["shuffled_module"] < 0.5 * gain["candidate"]
    assert gain["untaught_module"] > gain["shuffled_module"]  # it holds the donor's change


def test_auto_takes_the_student_with_the_smallest_loss_on_the_calibration_split(scene, monkeypatch):
    linear = fit_linear(scene.lesson)
    best = linear.calibrated.loss

    def other(name, loss):
        return lambda _, linear, _progress: Learned(name, linear.calibrated.correction, 1.0, loss)

    names, worse = ["linear", "module-new", "lora"], best + 0.2
    quick = [name for name in names if name not in table.slow_on(scene.target)]
    assert quick == ["linear", "module-new"]
    monkeypatch.setitem(table.FITS, "module-new", other("module-new", worse))
    monkeypatch.setitem(table.FITS, "lora", other("lora", best - 0.1))
    monkeypatch.setitem(table.FITS, "copy", other("copy", worse))
    told = []
    reporter = SilentReporter()
    monkeypatch.setattr(reporter, "note", told.append)
    learned = fit_student("auto", scene.lesson, linear, reporter=reporter)
    assert (learned.student, learned.left_out) == ("linear", ("lora",))
    (note,) = told
    assert "runs all of the target, which is slow on a CPU" in note
    assert "`student='lora'`" in note
    assert "`students`" in note
    told.clear()
    named = ["lora", "linear"]
    learned = fit_student("auto", scene.lesson, linear, students=named, reporter=reporter)
    assert (learned.student, learned.left_out) == ("lora", ())  # it is named: slow or not
    assert [one.student for one in learned.tried] == named
    assert not told
    monkeypatch.setattr(table, "slow_on", lambda _: ())  # as on an accelerator
    for loss, student in ((best - 0.1, "lora"), (best + 0.1, "linear")):
        monkeypatch.setitem(table.FITS, "module-new", other("module-new", worse))
        monkeypatch.setitem(table.FITS, "lora", other("lora", loss))
        learned = fit_student("auto", scene.lesson, linear)
        assert learned.student == student
        assert [one.student for one in learned.tried] == [*names, "copy"]
    monkeypatch.undo()
    monkeypatch.setitem(table.FITS, "lora", other("lora", best - 0.1))
    assert fit_student("lora", scene.lesson, linear).student == "lora"  # by its name


def test_the_donors_own_module_is_refused_of_a_donor_that_has_none():
    with pytest.raises(InputError, match="needs a donor that is a module"):
        learned_by("module")
    assert learned_by("auto") == ("linear", "module-new", "lora", "copy", "module")


def test_auto_can_be_told_what_it_is_to_try():
    assert candidates_of("auto") == learned_by("auto")
    assert candidates_of("auto", ("lora", "linear", "lora")) == ("lora", "linear")
    assert candidates_of("linear") == ("linear",)
    for name, students, said in (
        ("linear", ("lora",), "belongs to `student='auto'`"), ("auto", ("wise",), "found wise"),
        ("auto", (), "found none"), ("auto", ("linear", "basis"), "not tried beside others"),
    ):  # fmt: skip
        with pytest.raises(InputError, match="`students`") as refused:
            candidates_of(name, students)
        assert said in str(refused.value.line()) + str(refused.value.hint)


def test_a_student_that_is_named_is_refused_where_the_donor_has_not_what_it_needs(scene):
    donor, target = scene.lesson.pairing.donor, scene.target
    with pytest.raises(InputError, match="module needs a donor that is a module"):
        check_named(("linear", "module"), donor, target, LoraRecipe())
    check_named(("linear", "lora"), donor, target, LoraRecipe())


@pytest.mark.parametrize("change", CHANGES)
def test_a_teacher_with_a_raw_log_ratio_is_computed_in_16_bits_as_well(scene, change):
    lesson, mix = scene.lesson, DonorMix(raw_weight=0.3, change=change)
    batch = lesson.pairing.fitted.batches[0]
    logits = scene.target.head(batch.target.h_last)
    rows = (lesson.pairing.change(batch.donor.taps), batch.donor.h_last, logits, mix)
    expected = change_of_logits(lesson.output_map, *rows)
    with torch.autocast("cpu", torch.bfloat16):
        found = change_of_logits(lesson.output_map, *rows)
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.2)


@torch.no_grad()
def test_a_lora_on_the_head_makes_a_pair_of_two_heads(scene, text):
    base = scene.donor.pair.base
    draw = torch.Generator().manual_seed(0)
    vocab, width = base.unembedding.shape
    pair = Pair(
        torch.randn(2, width, generator=draw), torch.randn(vocab, 2, generator=draw), None, 0.1
    )
    model = LoraModel("lora", base, LoraUpdate({"lm_head": pair}, {}))
    both = TunedPair(base, model, model.head)
    assert not both.one_head
    window = windows_of(base, text.eval)[0]
    states = both.read([window], [both.change_tap])
    found = (states.h_last + states.taps[both.change_tap]) @ both.unembedding.T
    logits = model(input_ids=torch.tensor([window.ids])).logits[0]
    torch.testing.assert_close(found, logits, rtol=1e-3, atol=1e-4)
    inside = LoraUpdate({"model.layers.0.mlp.up_proj": Pair(pair.a, pair.b[:48], None, 0.1)}, {})
    assert LoraModel("lora", base, inside).head is None
