"""How much weight a fusion gives each of its modules on some text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.surgery.fuse.hosted import Fused
from transplant.text.windows import Window


@dataclass(frozen=True)
class Weights:
    """Of each module, over all positions."""

    mean: tuple[float, ...]
    """The mean weight."""
    size: tuple[float, ...]
    """The mean of its absolute value: a weight of either sign is one."""
    positions: int


@torch.no_grad()
def mean_weights(model: Fused, windows: Sequence[Window]) -> Weights:
    """Runs windows through a fusion and averages the weights, each position counting the same.

    Args:
        model: the fusion.
        windows: read one by one, so that there is no padding.
    """
    seen: list[Tensor] = []

    def keep(_module: object, _args: object, weights: Tensor) -> None:
        # The beginning-of-text token is a position of the backbone's, not of the window's.
        seen.append(weights.flatten(0, -2)[model.backbone.skipped :])

    hook = model.combiner.register_forward_hook(keep)
    try:
        with model.inside():
            for window in windows:
                model.backbone.read([window])
    finally:
        hook.remove()
    found = torch.cat(seen).double()
    return Weights(tuple(found.mean(0).tolist()), tuple(found.abs().mean(0).tolist()), len(found))
