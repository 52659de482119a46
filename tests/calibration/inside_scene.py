"""A donor whose tokens are longer than the target's, and how its moves look inside them."""

from __future__ import annotations

import torch

from tests.tiny import tiny_backbone
from transplant.calibration.config import NOTHING, MoveConfig
from transplant.modules.hosted import HostedModel
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import new_correction

CONFIG = MoveConfig(
    excerpts=24, excerpt_chars=240, held_out_excerpts=6, stride=1, rest_tokens=0, inside=NOTHING
)


def make_sides(texts):
    """A donor whose tokens are longer than the target's."""
    long, short = (train_tokenizer("bpe", texts, size, context=128) for size in (420, 300))
    correction = new_correction(32, 8, (1, 2), seed=0)
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.5)
    donor = HostedModel("tales@tiny", tiny_backbone("gpt2", long, seed=1), correction)
    return donor, tiny_backbone("llama", short, seed=3)
