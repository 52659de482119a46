"""Heads whose role is known."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import WHOLE, tiny_backbone
from tests.tracing.planted import HEAD, LAYER, alternating, copying_backbone
from transplant.analysis.roles import ROLES, role_places, score_heads
from transplant.backbones.layercake.blocks import make_span
from transplant.surgery.bank.attention import Attention
from transplant.surgery.bank.extract import extract

IDS = torch.tensor([5, 7, 9, 5, 7, 5])


def test_places_are_those_that_the_words_say():
    previous, duplicate, induction = role_places(IDS)
    assert previous.nonzero().tolist() == [[n, n - 1] for n in range(1, 6)]
    assert duplicate.nonzero().tolist() == [[3, 0], [4, 1], [5, 0], [5, 3]]
    assert induction.nonzero().tolist() == [[3, 1], [4, 2], [5, 1], [5, 4]]


def test_a_head_that_reads_the_places_of_a_role_has_it():
    places = role_places(IDS).float()
    even = torch.ones(6, 6).tril()
    weights = torch.stack([*places, even])
    rows = weights.sum(-1, keepdim=True)
    weights = torch.where(rows > 0, weights / rows.clamp_min(1), torch.eye(6))
    found = score_heads([weights], [IDS], [0])
    assert found.roles() == [*ROLES, None]
    means, chance = found.mean(), found.by_chance()
    assert means.diagonal().tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert means[:, 3].tolist() == pytest.approx(chance.tolist())


def test_a_token_before_the_text_takes_its_part_of_the_attention():
    weights = torch.zeros(1, 6, 7)
    weights[..., 0] = 1
    found = score_heads([weights], [IDS], [0], first=1)
    assert found.mean().abs().max() == 0
    assert found.by_chance()[0] == pytest.approx(sum(1 / n for n in range(3, 8)) / 5)


def test_the_planted_head_reads_the_token_before(tiny_tokenizer):
    backbone, windows = copying_backbone(tiny_tokenizer), alternating(tiny_tokenizer)
    piece = extract(backbone, ["heads"]).pieces[f"heads.{LAYER}"]
    assert isinstance(piece, Attention)
    x = backbone.read(windows, [LAYER]).taps[LAYER].unflatten(0, (len(windows), -1))
    weights = piece.weights(x, make_span(x.shape[1], x.device))
    ids = [torch.tensor(window.ids) for window in windows]
    found = score_heads([*weights], ids, [w.document for w in windows])
    # Every second token is the same: the token before is what came after it the last time, too.
    assert found.mean()[0, HEAD] > 0.9
    assert [head for head, role in enumerate(found.roles()) if role is not None] == [HEAD]


@pytest.mark.parametrize("family", WHOLE)
def test_weights_are_those_that_the_heads_read_values_with(family, tiny_tokenizer):
    backbone = tiny_backbone(family, tiny_tokenizer)
    piece = extract(backbone, ["heads"], [1]).pieces["heads.1"]
    assert isinstance(piece, Attention)
    x = torch.randn(2, 20, 32, generator=torch.Generator().manual_seed(0))
    span = make_span(20, x.device)
    recipe = piece.recipe
    with torch.no_grad():
        weights = piece.weights(x, span)
        h = x if recipe.norm_after_sum else piece.norm(x)
        value = piece.value(h).unflatten(-1, (-1, recipe.head_dim)).transpose(1, 2)
        value = value.repeat_interleave(recipe.heads // recipe.kv_heads, 1)
        added = piece.out((weights @ value).transpose(1, 2).flatten(2))
        if recipe.norm_out is not None:
            added = piece.norm_out(added)
        if recipe.norm_after_sum:
            added = piece.norm(x + added) - x
        assert torch.allclose(weights.sum(-1), torch.ones(2, recipe.heads, 20), atol=1e-5)
        assert torch.allclose(piece(x, span), added, atol=1e-5)
