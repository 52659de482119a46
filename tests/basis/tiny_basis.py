"""Windows of unequal lengths, so that batches have padding, and an oracle of W x."""

from __future__ import annotations

import random

import torch

from transplant.backbones.view import Backbone
from transplant.basis.maps import LinearMap
from transplant.text.windows import Window


def ragged_windows(vocab: int, count: int = 12, seed: int = 0) -> list[Window]:
    draw = random.Random(seed)
    lengths = [draw.randint(8, 30) for _ in range(count)]
    return [
        Window([draw.randrange(5, vocab) for _ in range(n)], range(1, n + 1), number)
        for number, n in enumerate(lengths)
    ]


def rows_one_by_one(
    backbone: Backbone, found: LinearMap, windows: list[Window]
) -> tuple[torch.Tensor, torch.Tensor]:
    """x [rows, in] and W x [rows, out] of a map, float64, of windows that are read alone."""
    seen = []

    def keep(_module, args, _output):
        seen.append(args[0].detach().reshape(-1, found.into))

    hook = found.module.register_forward_hook(keep)
    for window in windows:
        backbone.read([window])
    hook.remove()
    x = torch.cat(seen).double()
    return x, x @ found.weight.double().T
