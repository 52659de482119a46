"""Training a backbone from scratch."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_model
from transplant.backbones.reference import REFERENCES
from transplant.errors import InputError
from transplant.text.windows import pack_tokens
from transplant.training.config import PretrainConfig
from transplant.training.pretrain import pretrain


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_the_loss_falls(family, tiny_tokenizer, tiny_corpus):
    model = tiny_model(family, tiny_tokenizer)
    rows = pack_tokens(tiny_corpus, tiny_tokenizer, 32)
    losses = []

    def record(_step, _steps, note):
        losses.append(float(note.removeprefix("loss ")))

    config = PretrainConfig(tokens=32 * 8 * 40, learning_rate=5e-3)
    tail = pretrain(model, rows, config, progress=record)
    assert len(losses) == 40
    assert tail < losses[0] - 0.5
    assert not model.training


def test_the_same_seed_builds_the_same_model(tiny_tokenizer):
    for name in ("ref-gpt2", "ref-llama", "ref-t5"):
        one, two = (REFERENCES[name].make_model(tiny_tokenizer) for _ in range(2))
        assert all(
            torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)
        )
    first, second = (REFERENCES[n].make_model(tiny_tokenizer) for n in ("ref-gpt2", "ref-gpt2-b"))
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


def test_no_tokens_are_refused():
    with pytest.raises(InputError, match="positive"):
        PretrainConfig(tokens=0)
