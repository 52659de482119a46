"""A donor whose tokens are longer than the target's, and how its moves look inside them."""

from __future__ import annotations

import torch

from tests.tiny import tiny_backbone
from transplant.alignment.tokens import count_tokens
from transplant.calibration.config import NOTHING, MoveConfig
from transplant.calibration.output_map import map_outputs
from transplant.modules.hosted import HostedModel
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import new_correction

CONFIG = MoveConfig(
    excerpts=24, excerpt_chars=240, held_out_excerpts=6, stride=1, rest_tokens=0, inside=NOTHING
)


def make_sides(texts):
    """A donor whose tokens are longer than the target's."""
    long, short = (train_tokenizer("bpe", texts, size, context=128) for size in (420, 300))
    donor = HostedModel("tales@tiny", tiny_backbone("gpt2", long, seed=1), random_correction())
    return donor, tiny_backbone("llama", short, seed=3)


def make_short_sides(texts):
    """The same the other way round: a donor whose tokens are shorter than the target's."""
    donor, target = make_sides(texts)
    return HostedModel("tales@short", target, random_correction()), donor.backbone


def way_between(sides, texts, config):
    """The way from the donor's logits to the target's, by the counts of some texts."""
    donor, target = sides
    counts = count_tokens(donor.tokenizer("".join(texts[:20])).input_ids, donor.tokenizer)
    return map_outputs(donor.backbone, target, counts, config)


def random_correction():
    """One that changes much, of the layers that both have."""
    correction = new_correction(32, 8, (1, 2), seed=0)
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.5)
    return correction
