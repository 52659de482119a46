"""The named sizes of LayerCake cores, and the parameters that they truly have.

The command line reads this file, so neither it nor the package's `__init__` imports torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class CoreSize:
    """The shape of a core; its name is a name, `count_parameters` says how large it is."""

    name: str
    """What users call it."""
    d_model: int
    """Width of the hidden states."""
    n_layers: int
    """Core blocks."""
    n_heads: int
    """Attention heads of a block."""
    d_ff: int
    """Width inside the feed-forward part of a block."""
    d_abi: int
    """Width of the shared space."""


SIZES: dict[str, CoreSize] = {
    size.name: size
    for size in (
        CoreSize(name="2M", d_model=160, n_layers=4, n_heads=5, d_ff=640, d_abi=128),
        CoreSize(name="5M", d_model=256, n_layers=5, n_heads=8, d_ff=1024, d_abi=128),
        CoreSize(name="48M", d_model=512, n_layers=6, n_heads=8, d_ff=2048, d_abi=512),
        CoreSize(name="150M", d_model=768, n_layers=12, n_heads=12, d_ff=3072, d_abi=512),
        CoreSize(name="350M", d_model=1024, n_layers=16, n_heads=16, d_ff=4096, d_abi=512),
    )
}


def count_parameters(
    size: CoreSize, vocab_size: int, *, learned_positions: int = 0, abi: bool = True
) -> int:
    """The parameters of a core with tied embeddings and no domain module.

    Args:
        size: the shape.
        vocab_size: entries of the tokenizer.
        learned_positions: rows of the position table; 0 where positions are rotary.
        abi: whether to count the way into the shared space and back.
    """
    d, ff = size.d_model, size.d_ff
    embeddings = (vocab_size + learned_positions) * d
    attention = 3 * d * d + 3 * d + d * d + d
    feed_forward = d * ff + ff + ff * d + d
    block = attention + feed_forward + 2 * 2 * d
    to_abi_and_back = 2 * d * size.d_abi + 2 * size.d_abi if abi else 0
    return embeddings + size.n_layers * block + to_abi_and_back + 2 * d


def describe_sizes(vocab_size: int, held: Callable[[str], bool]) -> list[dict[str, Any]]:
    """The sizes of cores, with their parameters, and whether there is a core of that name.

    Args:
        vocab_size: entries of the tokenizer.
        held: whether a library holds a backbone of a name.
    """
    return [
        {
            **dataclasses.asdict(size),
            "vocab": vocab_size,
            "parameters": count_parameters(size, vocab_size),
            "in_registry": held(size.name),
        }
        for size in SIZES.values()
    ]
