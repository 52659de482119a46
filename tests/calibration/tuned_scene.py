"""A base, a tuned copy of it, and a target where the best move is known: the base turned."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch.nn import functional

from tests.calibration.tiny_training import windows_of
from tests.tiny import WIDTH, rotated_twin, tiny_backbone
from transplant.alignment.tokens import count_tokens
from transplant.backbones.views import view_of
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import pair_for_move
from transplant.calibration.output_map import map_outputs
from transplant.calibration.students.lesson import Lesson
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


def tuned_scene(text, tiny_texts, *, two_heads: bool) -> Scene:
    """A tiny Llama, tuned for a few steps, and a twin of the base, its hidden states turned."""
    bpe = train_tokenizer("bpe", tiny_texts, 330, context=128)
    base = tiny_backbone("llama", bpe, seed=1)
    windows = windows_of(base, text.train)
    tuned = tuned_copy(base, windows, head=two_heads)
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
