"""A tiny GPT-2 with one head that is built by hand to copy the token before the last."""

from __future__ import annotations

import torch

from tests.tiny import tiny_model
from transplant.backbones.load import view_of
from transplant.backbones.view import Backbone
from transplant.text.windows import Window

LAYER, HEAD, DIM, LENGTH = 1, 2, 32, 32
TOKENS, POSITIONS = slice(0, 32), slice(32, 64)  # of the 128 dimensions


@torch.no_grad()
def copying_backbone(tokenizer) -> Backbone:
    """Head 1.2 attends from each position to the one before, and writes the token that is there.

    Token and position have dimensions of their own; all other parts do next to nothing.
    """
    model = tiny_model("gpt2", tokenizer, n_embd=4 * DIM, n_positions=LENGTH)
    draw = torch.Generator().manual_seed(0)
    inner = model.transformer
    codes = torch.randn(len(inner.wte.weight), DIM, generator=draw)
    places = torch.linalg.qr(torch.randn(LENGTH, DIM, generator=draw))[0] * DIM**0.5
    inner.wte.weight.zero_()
    inner.wte.weight[:, TOKENS] = codes
    inner.wpe.weight.zero_()
    inner.wpe.weight[:, POSITIONS] = places
    for block in inner.h:
        for part in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj):
            part.weight.normal_(std=0.01, generator=draw)
    attention, own = inner.h[LAYER].attn, slice(HEAD * DIM, (HEAD + 1) * DIM)
    query, key, value = attention.c_attn.weight.split(4 * DIM, dim=1)
    for fused in (query, key, value):
        fused[:, own] = 0
    query[POSITIONS, own] = places.T @ places.roll(1, 0) / DIM  # of position i, the code of i - 1
    key[POSITIONS, own] = torch.eye(DIM)
    value[TOKENS, own] = torch.eye(DIM)
    attention.c_proj.weight[own] = 0
    attention.c_proj.weight[own, TOKENS] = 4 * torch.eye(DIM)
    return view_of("copying", model, tokenizer)


def alternating(tokenizer, documents: int = 6) -> list[Window]:
    """Texts of two tokens in turn: the next one is always the one before the last."""
    draw = torch.Generator().manual_seed(1)
    pairs = torch.randperm(len(tokenizer), generator=draw)[: 2 * documents].view(-1, 2).tolist()
    return [
        Window(pair * (LENGTH // 2), range(1, LENGTH + 1), number)
        for number, pair in enumerate(pairs)
    ]
