"""Attention and head of 16-bit models while they write on a processor, where both are slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

HALVES = (torch.bfloat16, torch.float16)
NAME = "abi_plain"
"""Under which `transformers` knows it."""


@contextmanager
def head_in_one_piece(model: Any) -> Iterator[None]:
    """Has the head read a copy of the last positions, which lie apart behind a prompt.

    Of rows that lie apart each is multiplied by a matrix of its own, which for 16-bit types is a
    copy of the head: 64 texts of Gemma 3 270M take 21 GB.

    Args:
        model: of transformers; the hook is gone behind the block.
    """
    head = model.get_output_embeddings()
    if head is None or not _in_halves(model):
        yield
        return
    handle = head.register_forward_pre_hook(lambda _, read: (read[0].contiguous(), *read[1:]))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """Plain products in place of the fused kernel where a sequence asks with one query.

    On a processor the fused kernel of 16-bit types serves many queries at once. With one query for
    each of 64 sequences of 400 positions, one thread, it takes 3.6 ms a layer in the shapes of
    SmolLM2-135M (nine heads on three of keys), plain products 1.5, and where every head has keys of
    its own 22 and 2.0; in single precision they are even. Nothing changes anywhere else.

    Args:
        model: of transformers; inside the block its attention is `abi_plain` in place of `sdpa`.
    """
    config = model.config
    fused = getattr(config, "_attn_implementation", None) == "sdpa"
    if not fused or not _in_halves(model):
        yield
        return
    _register()
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")


def _in_halves(model: Any) -> bool:
    return model.dtype in HALVES and model.device.type == "cpu"


def one_query_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """What `sdpa` computes; in plain products, without copies of keys, for one query a sequence.

    Args:
        module: whose attention it is.
        query: [batch, heads, queries, width].
        key: [batch, heads of keys, positions, width].
        value: likewise.
        attention_mask: [batch, 1 or heads, queries, positions], true where a position is read.
        dropout: while the model learns.
        scaling: factor on the products; None for 1 / sqrt(width).
        options: further ones of `sdpa`.

    Returns:
        [batch, queries, heads, width], and no weights.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    biased = attention_mask is not None and attention_mask.shape[1] != 1
    if query.shape[2] != 1 or biased or dropout or options.get("position_bias") is not None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    asked = query.unflatten(1, (key.shape[1], -1)).squeeze(3)  # [batch, of keys, that share, width]
    weights = torch.matmul(asked, key.transpose(2, 3))
    weights = weights.float().mul_(query.shape[3] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            weights.masked_fill_(~attention_mask, -torch.inf)
        else:
            weights += attention_mask
    weights = weights.softmax(3).to(value.dtype)
    found = torch.matmul(weights, value)  # [batch, of keys, that share, width]
    return found.flatten(1, 2)[:, None], None


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, one_query_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
