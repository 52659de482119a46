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
from transplant.calibration.students.controls import student_controls, turned_change
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.linear import fit_linear
from transplant.evaluation.likelihood import score_documents
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedDonor, TunedPair
from transplant.text.tokenizers import train_tokenizer

CONFIG = MoveConfig(
    excerpts=40, excerpt_chars=240, held_out_excerpts=12, stride=1, likely_tokens=160,
    donor_words=(0.0,),
)  # fmt: skip
STEPS, RATE = 60, 3e-3


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
