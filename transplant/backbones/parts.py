"""Parts of a block that can be tapped by name: `block.2.attn`, `block.2.mlp`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.view import Backbone
from transplant.errors import InputError

PART = re.compile(r"block\.(\d+)\.(attn|mlp)")
# Of each family: its blocks, as the reader names them, and the two parts of a block.
_LLAMA = ("layers", "self_attn", "mlp")
PARTS: dict[str, tuple[str, str, str]] = {
    "gpt2": ("h", "attn", "mlp"),
    "gpt_neox": ("layers", "attention", "mlp"),
    "t5": ("block", "layer.0.SelfAttention", "layer.2.DenseReluDense"),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2"), _LLAMA),
}


def find_part(backbone: Backbone, name: str) -> nn.Module:
    """The submodule of a part; its output is what the block adds to the residual stream.

    Raises:
        InputError: no such name, no such block, or a family without named parts.
    """
    named = PART.fullmatch(name)
    if named is None:
        raise InputError("unknown tap", expected="a layer, or block.2.attn", found=name)
    if backbone.family not in PARTS:
        raise InputError(
            f"{backbone.name} has no named parts", expected=f"one of {[*PARTS]}",
            found=backbone.family, hint="layers work on every backbone: --taps all, or 0,2",
        )  # fmt: skip
    blocks, attention, mlp = PARTS[backbone.family]
    stack: Any = attrgetter(blocks)(backbone.reader())
    if int(named[1]) >= len(stack):
        raise InputError(f"no block {named[1]}", expected=f"0 to {len(stack) - 1}", found=name)
    place = attention if named[2] == "attn" else mlp
    return stack[int(named[1])].get_submodule(place)


@contextmanager
def watched(backbone: Backbone, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Keeps the outputs [batch, seq, d_model] of parts in the yielded dict, call after call."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            seen[name] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [find_part(backbone, name).register_forward_hook(keep(name)) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def real_rows(hidden: Tensor, counts: Sequence[int], skipped: int) -> Tensor:
    """The rows [rows, d_model] of right-padded [batch, seq, d_model].

    Args:
        hidden: of a batch.
        counts: rows of each window.
        skipped: positions before the first row of each.
    """
    return torch.cat([hidden[i, skipped : skipped + n] for i, n in enumerate(counts)])
