"""The blocks of a backbone: their parts by name (`block.2.attn`), and passes that end early."""

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
    _, attention, mlp = PARTS[backbone.family]
    stack = blocks_of(backbone)
    if int(named[1]) >= len(stack):
        raise InputError(f"no block {named[1]}", expected=f"0 to {len(stack) - 1}", found=name)
    place = attention if named[2] == "attn" else mlp
    return stack[int(named[1])].get_submodule(place)


def blocks_of(backbone: Backbone) -> Sequence[nn.Module]:
    """The blocks, first to last; none in a family that is not in the table."""
    if backbone.family not in PARTS:
        return ()
    return [*attrgetter(PARTS[backbone.family][0])(backbone.reader())]


def deepest_layer(layers: Sequence[int], parts: Sequence[str]) -> int:
    """The layer behind which nothing of these is computed."""
    blocks = [int(named[1]) for part in parts if (named := PART.fullmatch(part))]
    return max((*layers, *(block + 1 for block in blocks)))


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


class _Enough(Exception):
    """All that was asked for is there."""


@contextmanager
def ending_at(backbone: Backbone, layers: Sequence[int], last: int) -> Iterator[dict[str, Tensor]]:
    """Inside the block a pass ends where block `last` would begin.

    Args:
        backbone: of a family in the table.
        layers: whose states are kept, up to `last`; a layer is what the block of its number reads.
        last: below the number of blocks.

    Yields:
        The states [batch, seq, d_model] by the name of the layer, filled by a pass.
    """
    seen: dict[str, Tensor] = {}
    blocks = blocks_of(backbone)

    def entering(layer: int) -> Any:
        def hook(_module: nn.Module, args: Any) -> None:
            if layer in layers:
                seen[str(layer)] = args[0]
            if layer == last:
                raise _Enough

        return hook

    handles = [
        blocks[layer].register_forward_pre_hook(entering(layer)) for layer in {*layers, last}
    ]
    try:
        yield seen
    except _Enough:
        pass
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
    if set(counts) == {hidden.shape[1] - skipped}:
        return hidden[:, skipped:].flatten(0, 1)  # without padding, no copy
    return torch.cat([hidden[i, skipped : skipped + n] for i, n in enumerate(counts)])
