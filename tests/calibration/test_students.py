"""Students of a tuned donor: what is recovered on a target where the best move is known."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional

from tests.calibration.tiny_training import windows_of
from tests.tiny import WIDTH, rotated_twin, tiny_backbone
from transplant.alignment.tokens import count_tokens
from transplant.backbones.load import view_of
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import pair_for_move
from transplant.calibration.output_map import change_of_logits, map_outputs
from transplant.calibration.students import module_new, table
from transplant.calibration.students.controls import student_controls, turned_change
from transplant.calibration.students.learned import Learned
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.linear import fit_linear
from transplant.calibration.students.module_new import untaught_module, whitened
from transplant.calibration.students.spec import learned_by
from transplant.calibration.students.table import fit_student
from transplant.errors import InputError
from transplant.evaluation.likelihood import score_documents
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedDonor, TunedPair
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.update import LoraUpdate, Pair
from transplant.text.tokenizers import train_tokenizer

CONFIG = MoveConfig(
    excerpts=40, excerpt_chars=240, held_out_excerpts=12, stride=1, likely_tokens=160,
    donor_words=(0.0,),
)  # fmt: skip
STEPS, RATE = 60, 3e-3
QUICK = dataclasses.replace(module_new.LEARN, steps=30, evaluate_every=15)


def tuned_copy(base, windows, *, head: bool):
    """The base after some steps on text: of all its weights, or of all but its head."""
    model = copy.deepcopy(base.model).requires_grad_(True)
    if not head:
        model.get_output_embeddings().requires_grad_(False)
    moving = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(moving, RATE)
    view = view_of(f"tuned-{base.name}", model, base.tokenizer)
    for parameter in moving:
        parameter.requires_grad_(True)  # the view froze them
    for step in range(STEPS):
        states = view.run([windows[(4 * step + n) % len(windows)] for n in range(4)]).labelled()
        functional.cross_entropy(view.head(states.h_last), states.labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.requires_grad_(False)
    return view_of(view.name, model, base.tokenizer)


@dataclasses.dataclass(frozen=True)
class Scene:
    donor: TunedDonor
    tuned: object
    target: object
    lesson: Lesson
    counts: dict


@pytest.fixture(scope="module", params=["one head", "two heads"])
def scene(request, text, tiny_texts):
    """A tiny Llama, tuned for a few steps, and a twin of the base, its hidden states turned."""
    bpe = train_tokenizer("bpe", tiny_texts, 330, context=128)
    base = tiny_backbone("llama", bpe, seed=1)
    windows = windows_of(base, text.train)
    tuned = tuned_copy(base, windows, head=request.param == "two heads")
    donor = TunedDonor("tuned", TunedPair(base, HostedModel("tuned", tuned)))
    rotation = torch.linalg.qr(
        torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(4))
    ).Q
    target = rotated_twin(base, rotation)
    counts = count_tokens((i for w in windows for i in w.ids), bpe)
    pairing = pair_for_move(donor, target, text, counts, CONFIG)
    output_map = map_outputs(donor.backbone, target, counts, CONFIG)
    lesson = Lesson(pairing, output_map, windows_of(target, text.calibration), CONFIG)
    return Scene(donor, tuned, target, lesson, counts)


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


def test_a_turned_change_is_as_large_as_the_donors(scene):
    lesson = scene.lesson
    change, output_map = turned_change(lesson, CONFIG)
    batch = lesson.pairing.fitted.batches[0]
    logits = scene.target.head(batch.target.h_last)
    sizes = [
        change_of_logits(way, made(batch.donor.taps), batch.donor.h_last, logits, 0.0).std()
        for made, way in ((lesson.pairing.change, lesson.output_map), (change, output_map))
    ]
    assert sizes[1] == pytest.approx(sizes[0].item(), rel=0.35)


def test_a_new_module_learns_what_the_donor_has(scene, text, monkeypatch):
    monkeypatch.setattr(module_new, "LEARN", QUICK)
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
    after = learned.correction.module.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    windows = windows_of(scene.target, text.eval)
    systems = {"raw": None, "untaught": start, "learned": learned.correction}
    found = score_documents(scene.target, windows, systems)
    assert found["learned"].per_token < found["untaught"].per_token < found["raw"].per_token


def test_auto_takes_the_student_with_the_smallest_loss_on_the_calibration_split(scene, monkeypatch):
    linear = fit_linear(scene.lesson)
    best = linear.calibrated.loss

    def other(loss):
        return lambda _, linear, _progress: Learned(
            "module-new", linear.calibrated.correction, 1.0, loss
        )

    for loss, student in ((best - 0.1, "module-new"), (best + 0.1, "linear")):
        monkeypatch.setitem(table.FITS, "module-new", other(loss))
        learned = fit_student("auto", scene.lesson, linear)
        assert learned.student == student
        assert [one.student for one in learned.tried] == ["linear", "module-new"]
    monkeypatch.setattr(table, "WHOLE", 10)  # a large vocabulary: hours on a processor
    monkeypatch.setitem(table.FITS, "module-new", other(best - 0.1))
    learned = fit_student("auto", scene.lesson, linear)
    assert (learned.student, learned.left_out) == ("linear", ("module-new",))
    assert fit_student("module-new", scene.lesson, linear).student == "module-new"


def test_the_donors_own_module_is_refused_of_a_donor_that_has_none():
    with pytest.raises(InputError, match="needs a donor that is a module"):
        learned_by("module")
    assert learned_by("auto") == ("linear", "module-new")


def test_a_teacher_with_a_raw_log_ratio_is_computed_in_16_bits_as_well(scene):
    lesson = scene.lesson
    batch = lesson.pairing.fitted.batches[0]
    logits = scene.target.head(batch.target.h_last)
    rows = (lesson.pairing.change(batch.donor.taps), batch.donor.h_last, logits, 0.3)
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
