"""Controls of a donor's part: an untrained one of the same shape."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


@torch.no_grad()
def random_like(part: AnyModule, seed: int) -> AnyModule:
    """A part, or maps, of the same recipe: every map is drawn anew, each as large as the given one.

    Norms, rotary frequencies and biases by distance stay: they say how the part works, the maps say
    what it knows.
    """
    drawn = copy.deepcopy(part)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in drawn.named_parameters():
        if "norm" in name or name.endswith("relative"):
            continue
        noise = torch.randn(parameter.shape, generator=generator).to(parameter)
        parameter.copy_(noise * parameter.std(correction=0))
    return drawn
