"""The combiners there are."""

from __future__ import annotations

import torch

from transplant.surgery.fuse.attention import AttentionCombiner
from transplant.surgery.fuse.combiner import Combiner
from transplant.surgery.fuse.config import COMBINER_NAMES, check_combiner
from transplant.surgery.fuse.gate import GateCombiner

COMBINERS: dict[str, type[GateCombiner] | type[AttentionCombiner]] = {
    "gate": GateCombiner,
    "attention": AttentionCombiner,
}
assert tuple(COMBINERS) == COMBINER_NAMES


def make_combiner(name: str, members: int, width: int, seed: int = 0) -> Combiner:
    """An untrained combiner: all its weights are 0; the same seed gives the same bytes.

    Raises:
        InputError: there is none of that name.
    """
    generator = torch.Generator().manual_seed(seed)
    return COMBINERS[check_combiner(name)](members, width, generator)
