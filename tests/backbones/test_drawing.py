"""Drawing a token at one random number: each as often as its probability says."""

from __future__ import annotations

import pytest
import torch

from transplant.backbones.drawing import GROUP, Draws, draw

VOCAB = 2 * GROUP + 40


@pytest.fixture
def logits():
    return 3 * torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(0))


def test_it_is_the_inverse_of_the_cumulated_probabilities(logits):
    logits[0, 3:9] = -torch.inf
    uniform = torch.linspace(0, 1, 5_000, dtype=torch.float64)[:-1]
    found = draw(logits.double().expand(len(uniform), -1), uniform[:, None])[:, 0]
    reached = logits[0].double().softmax(0).cumsum(0)
    below = torch.cat([reached.new_zeros(1), reached])[found]
    assert (below <= uniform + 1e-12).all()
    assert (uniform <= reached[found] + 1e-12).all()
    assert not torch.isin(found, torch.arange(3, 9)).any()


def test_tokens_come_as_often_as_they_are_likely(logits):
    torch.manual_seed(0)
    drawn = torch.cat([draw(logits.expand(2_000, -1), torch.rand(2_000, 1)) for _ in range(20)])
    shares = drawn.flatten().bincount(minlength=VOCAB) / len(drawn)
    expected = logits[0].softmax(0)
    error = (expected * (1 - expected) / len(drawn)).sqrt()
    assert ((shares - expected).abs() <= 5 * error + 1e-4).all()


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24, 1.0])
def test_what_has_no_probability_is_not_drawn_at_either_end(uniform):
    logits = torch.full((1, VOCAB), -torch.inf)
    logits[0, [7, GROUP + 1]] = torch.tensor([0.0, -1.0])
    token = draw(logits, torch.tensor([[uniform]])).item()
    assert token == (7 if uniform == 0 else GROUP + 1)


def test_a_processor_leaves_what_was_drawn_and_never_the_forbidden(logits):
    torch.manual_seed(0)
    likely = logits[0].topk(5).indices.tolist()
    scores = Draws(likely)(torch.zeros(64, 1), logits.repeat(64, 1))
    drawn = scores.argmax(1)
    assert torch.isinf(scores.gather(1, drawn[:, None])).all()
    assert len(set(drawn.tolist())) > 10
    assert not torch.isin(drawn, torch.tensor(likely)).any()
