"""Products and sums at each row's own tokens, beside the vectors written down."""

from __future__ import annotations

import pytest
import torch

from transplant.backbones import token_vectors
from transplant.backbones.token_vectors import TokenVectors

ROWS, LIKELY, VOCAB, WIDTH = 7, 5, 40, 6


@pytest.fixture(params=["sampled", "whole"])
def drawn(request, monkeypatch):
    monkeypatch.setattr(token_vectors, "DENSE", 8 if request.param == "whole" else 0)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, VOCAB // 2, (ROWS, LIKELY), generator=generator)  # half never occur
    tokens[0] = tokens[0, 0]  # one row looks at one token again and again
    return (
        torch.randn(VOCAB, WIDTH, generator=generator), tokens,
        torch.randn(ROWS, WIDTH, generator=generator),
        torch.randn(ROWS, LIKELY, generator=generator),
    )  # fmt: skip


def test_products_and_sums_are_those_of_the_vectors_written_down(drawn):
    head, tokens, states, weights = drawn
    vectors = TokenVectors.of(head, tokens)
    assert len(vectors.vectors) < VOCAB
    products = torch.einsum("rkd,rd->rk", head[tokens], states)
    torch.testing.assert_close(vectors.products(states), products)
    sums = torch.einsum("rkd,rk->rd", head[tokens], weights)
    torch.testing.assert_close(vectors.sums(weights), sums)
    written = vectors._written_down()
    torch.testing.assert_close((written @ states[:, :, None])[:, :, 0], products)  # off the CPU


def test_batches_share_one_copy_and_find_the_same(drawn):
    head, tokens, states, weights = drawn
    parts = tokens.split(3)
    shared = TokenVectors.of_batches(head, parts)
    assert all(one.vectors is shared[0].vectors for one in shared)
    alone = TokenVectors.of(head, tokens)
    found = [one.products(some) for one, some in zip(shared, states.split(3), strict=True)]
    torch.testing.assert_close(torch.cat(found), alone.products(states))
    found = [one.sums(some) for one, some in zip(shared, weights.split(3), strict=True)]
    torch.testing.assert_close(torch.cat(found), alone.sums(weights))


def test_a_head_in_16_bits_is_multiplied_in_single_precision_and_nobody_is_warned(drawn, recwarn):
    head, tokens, states, _ = drawn
    rounded = head.bfloat16()
    products = TokenVectors.of(rounded, tokens).products(states)
    torch.testing.assert_close(
        products, torch.einsum("rkd,rd->rk", rounded.float()[tokens], states)
    )
    assert not recwarn.list


def test_a_row_may_look_at_more_tokens_than_there_are():
    head, tokens = torch.eye(3), torch.tensor([[2, 0, 1, 1, 2, 0, 0]])
    products = TokenVectors.of(head, tokens).products(torch.tensor([[5.0, 6.0, 7.0]]))
    assert products.tolist() == [[7, 5, 6, 6, 7, 5, 5]]


def test_no_rows_and_no_tokens_are_none(drawn):
    head, tokens, states, weights = drawn
    nothing = TokenVectors.of(head, tokens[:0])
    assert nothing.products(states[:0]).shape == (0, LIKELY)
    assert nothing.sums(weights[:0]).shape == (0, WIDTH)
    assert TokenVectors.of(head, tokens[:, :0]).products(states).shape == (ROWS, 0)
