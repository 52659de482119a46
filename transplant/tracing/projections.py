"""Queries, keys and values of a block as columns of what a linear map gives, fused or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

KINDS = ("query", "key", "value")
SEPARATE: dict[str, tuple[str, str]] = {
    "t5": ("layer.0.SelfAttention", "{}"),
    **dict.fromkeys(
        (
            "llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "gemma", "gemma2",
            "gemma3", "gemma3_text", "olmo2", "smollm3", "opt",
        ),
        ("self_attn", "{}_proj"),
    ),
}  # fmt: skip
"""Of families with a map for each: the attention, and the names of the maps in it."""
FUSED = {
    "gpt2": "attn.c_attn",
    "phi3": "self_attn.qkv_proj",
    "layercake": "qkv",
    "gpt_neox": "attention.query_key_value",
}
"""Of families with one map for all three: its name in a block."""
BY_HEAD = ("gpt_neox",)
"""Where a fused map gives query, key and value of each head before those of the next."""


@dataclass(frozen=True)
class Columns:
    """Where a block's queries, keys or values come from."""

    module: nn.Module
    """A linear map that gives [batch, seq, out]."""
    index: Tensor
    """Which of `out`, int64 [heads * head_dim], head by head."""


def find_columns(
    block: nn.Module, family: str, kind: str, heads: tuple[int, int], head_dim: int
) -> Columns | None:
    """The queries, keys or values of a block; None in a family that is in neither table.

    Args:
        block: of a backbone.
        family: the backbone's.
        kind: of `KINDS`.
        heads: of queries, and of keys and values.
        head_dim: of each.
    """
    place = KINDS.index(kind)
    counts = (heads[0], heads[1], heads[1])
    width = counts[place] * head_dim
    if family in SEPARATE:
        attention, names = SEPARATE[family]
        name = names.format(kind[0])  # q, k, v
        return Columns(block.get_submodule(f"{attention}.{name}"), torch.arange(width))
    if family not in FUSED:
        return None
    module = block.get_submodule(FUSED[family])
    if family in BY_HEAD:
        within = torch.arange(head_dim)
        starts = (torch.arange(heads[0]) * 3 + place) * head_dim
        return Columns(module, (starts[:, None] + within).flatten())
    return Columns(module, torch.arange(width) + sum(counts[:place]) * head_dim)


@contextmanager
def columns_changed(columns: Columns, change: Any) -> Iterator[None]:
    """Has `change` replace these columns [batch, seq, heads * head_dim] whenever the map runs."""

    def replace(_module: nn.Module, _args: Any, output: Tensor) -> Tensor | None:
        index = columns.index.to(output.device)
        changed = change(output.index_select(-1, index))
        return None if changed is None else output.index_copy(-1, index, changed)

    handle = columns.module.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
