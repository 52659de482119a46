"""What a donor's part is compared with: one of the same shape that has learnt nothing."""

from __future__ import annotations

import copy

import torch

from transplant.surgery.bank.piece import Part


@torch.no_grad()
def random_like(part: Part, seed: int) -> Part:
    """A part of the same recipe whose maps are drawn anew, each as large as the donor's.

    Norms, rotary frequencies and biases by distance stay: they say how the part works, the maps say
    what it knows.
    """
    drawn = copy.deepcopy(part)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in drawn.named_parameters():
        if "norm" in name or name.endswith("relative"):
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(noise * parameter.std(correction=0))
    return drawn
