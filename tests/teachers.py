"""Donors of tokenizers of their own, each a base and a random module that changes it."""

from __future__ import annotations

import torch

from tests.tiny import tiny_backbone
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedDonor, TunedPair
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import new_correction


def random_donor(family, kind, size, texts, seed):
    """A base, and a module that changes it: random, and not small."""
    backbone = tiny_backbone(family, train_tokenizer(kind, texts, size, context=128), seed=seed)
    correction = new_correction(backbone.d_model, 16, (backbone.n_layers,), seed)
    with torch.no_grad():
        correction.interface.proj_out.weight.normal_(generator=torch.Generator().manual_seed(seed))
    hosted = HostedModel(f"tales@{family}-{seed}", backbone, correction)
    return TunedDonor(hosted.name, TunedPair(backbone, hosted))


def two_donors(texts):
    """Of two tokenizers and two architectures."""
    return [
        random_donor("gpt2", "bpe", 330, texts, 1), random_donor("t5", "unigram", 400, texts, 2)
    ]  # fmt: skip


def third_party(texts):
    """A target of a third tokenizer."""
    return tiny_backbone("llama", train_tokenizer("bpe-digits", texts, 350, context=128))
