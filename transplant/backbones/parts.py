"""Parts of a block by name: `block.2.attn`, `block.2.mlp`, and `block.2.mlp.in` for what one reads.

A part reads the residual stream x and adds something to it. Families differ in where either can be
met: the table of this file says it for each, and nobody else needs to know. A pass that reads early
layers alone ends behind the last of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.view import Backbone
from transplant.errors import InputError

PART = re.compile(r"block\.(\d+)\.(attn|mlp|layer)(\.in)?")
Change = Callable[[Tensor, Tensor], Tensor | None]


@dataclass(frozen=True)
class Site:
    """Where a part of a block reads the residual stream, and where what it adds can be met."""

    block: nn.Module
    """The block: its first argument is [batch, seq, width]."""
    reads: nn.Module
    """A module whose first argument is x, as the part finds it."""
    writes: nn.Module
    """A module whose output is what the part adds to x, or the sum."""
    is_sum: bool = False
    """Whether `writes` gives x and what was added to it in one: blocks, and post-norm parts."""


# Of each family: its blocks, as the reader names them, and (reads, writes) of the two parts.
_Places = tuple[str, tuple[str, str], tuple[str, str]]
_LLAMA: _Places = (
    "layers",
    ("input_layernorm", "self_attn.o_proj"),
    ("post_attention_layernorm", "mlp.down_proj"),
)
_GEMMA2: _Places = (
    "layers",
    ("input_layernorm", "post_attention_layernorm"),
    ("pre_feedforward_layernorm", "post_feedforward_layernorm"),
)
_EXPERTS: _Places = (*_LLAMA[:2], ("post_attention_layernorm", "mlp"))  # all experts are one part
PLACES: dict[str, _Places] = {
    "gpt2": ("h", ("ln_1", "attn.c_proj"), ("ln_2", "mlp.c_proj")),
    "gpt_neox": (
        "layers",
        ("input_layernorm", "attention.dense"),
        ("post_attention_layernorm", "mlp.dense_4h_to_h"),
    ),
    "t5": (
        "block",
        ("layer.0.layer_norm", "layer.0.SelfAttention.o"),
        ("layer.2.layer_norm", "layer.2.DenseReluDense.wo"),
    ),
    "opt": ("layers", ("self_attn_layer_norm", "self_attn.out_proj"), ("final_layer_norm", "fc2")),
    "opt-post-norm": (
        "layers",
        ("self_attn.q_proj", "self_attn_layer_norm"),
        ("fc1", "final_layer_norm"),
    ),
    "olmo2": (
        "layers",
        ("self_attn.q_proj", "post_attention_layernorm"),
        ("mlp.gate_proj", "post_feedforward_layernorm"),
    ),
    "mixtral": _EXPERTS,
    "qwen3_moe": _EXPERTS,
    **dict.fromkeys(("gemma2", "gemma3", "gemma3_text"), _GEMMA2),
    "layercake": ("layers", ("attention_norm", "out"), ("ff_norm", "ff_out")),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "phi3", "smollm3"), _LLAMA),
}


def find_part(backbone: Backbone, name: str) -> Site:
    """The site of a part named as a tap.

    Raises:
        InputError: no such name, no such block, or a family without named parts.
    """
    named = PART.fullmatch(name)
    if named is None:
        raise InputError("unknown tap", expected="a layer, or block.2.attn", found=name)
    return find_site(backbone, int(named[1]), named[2])


def find_site(backbone: Backbone, number: int, part: str) -> Site:
    """The site of a part of block `number`: `attn`, `mlp`, or the whole `layer`."""
    blocks = blocks_of(backbone)
    if not 0 <= number < len(blocks):
        raise InputError(
            f"{backbone.name} has no block {number}", expected=f"0 to {len(blocks) - 1}",
            found=f"block.{number}.{part}",
        )  # fmt: skip
    block = blocks[number]
    if part == "layer":
        return Site(block, block, block, is_sum=True)
    places = PLACES[_layout(backbone)]
    reads, writes = places[1] if part == "attn" else places[2]
    post_norm = _layout(backbone) == "opt-post-norm"
    return Site(block, block.get_submodule(reads), block.get_submodule(writes), is_sum=post_norm)


def blocks_of(backbone: Backbone) -> nn.ModuleList:
    """The blocks of the decoder.

    Raises:
        InputError: a family whose parts are not named.
    """
    if backbone.family not in PLACES:
        raise InputError(
            f"{backbone.name} has no named parts", expected=f"one of {[*PLACES]}",
            found=backbone.family, hint="layers work on every backbone: `taps='all'`, or 0,2",
        )  # fmt: skip
    return attrgetter(PLACES[backbone.family][0])(backbone.reader())


def block_width(backbone: Backbone) -> int:
    """The width of the residual stream; not that of `h_last` in OPT-350m and its like."""
    return getattr(backbone.model.config, "hidden_size", backbone.d_model)


@contextmanager
def intercepted(site: Site, change: Change) -> Iterator[None]:
    """Calls `change(x, added)` whenever the part runs; a tensor that it returns is added as well.

    x and added are [batch, seq, width]. What is returned comes on top of what the part added, so
    that a change of exactly 0 leaves every bit as it was.
    """
    state: dict[str, Any] = {}

    def enter(_module: nn.Module, args: Any, kwargs: Any) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        state["batch"] = len(hidden)

    def read(_module: nn.Module, args: Any, kwargs: Any) -> None:
        state["x"] = args[0] if args else kwargs["hidden_states"]

    def write(_module: nn.Module, _args: Any, output: Any) -> Any:
        found = output[0] if isinstance(output, tuple) else output
        x = state.pop("x")
        x = x.reshape(state["batch"], -1, x.shape[-1])  # OPT's feed-forward part sees flat rows
        added = found.reshape(x.shape)
        more = change(x, added - x if site.is_sum else added)
        if more is None:
            return None
        changed = found + more.reshape(found.shape)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handles = [
        site.block.register_forward_pre_hook(enter, with_kwargs=True),
        site.reads.register_forward_pre_hook(read, with_kwargs=True),
        site.writes.register_forward_hook(write),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def block_count(backbone: Backbone) -> int:
    """The number of blocks; 0 in a family that is not in the table."""
    return len(blocks_of(backbone)) if backbone.family in PLACES else 0


def deepest_layer(layers: Sequence[int], parts: Sequence[str]) -> int:
    """The layer behind which nothing of these is computed."""
    blocks = [int(named[1]) for part in parts if (named := PART.fullmatch(part))]
    return max((*layers, *(block + 1 for block in blocks)))


@contextmanager
def watched(backbone: Backbone, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Keeps what parts add [batch, seq, width], or read, in the yielded dict, call after call."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Change:
        def change(x: Tensor, added: Tensor) -> None:
            seen[name] = x if name.endswith(".in") else added

        return change

    with ExitStack() as stack:
        for name in names:
            stack.enter_context(intercepted(find_part(backbone, name), keep(name)))
        yield seen


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


def _layout(backbone: Backbone) -> str:
    post_norm = not getattr(backbone.model.config, "do_layer_norm_before", True)
    return "opt-post-norm" if backbone.family == "opt" and post_norm else backbone.family
