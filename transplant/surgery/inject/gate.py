"""Gates: how much of the donor's part stands in for the target's own.

    out = base + g * (donor - base)

g is a number, not a probability: 0 is shut (the target bit for bit), 1 is open, and training may
leave it anywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConstantGate(nn.Module):
    """A g that does not depend on what is read.

    Args:
        value: g to begin with.
    """

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    @torch.no_grad()
    def open_to(self, opening: float) -> None:
        """Sets g, alike for all dimensions."""
        self.value.fill_(opening)

    def forward(self, x: Tensor) -> Tensor:
        """g, of any x [..., width]."""
        del x
        return self.value


class ScalarGate(ConstantGate):
    """One number."""

    def __init__(self, width: int, opening: float) -> None:
        del width
        super().__init__(torch.tensor(float(opening)))


class VectorGate(ConstantGate):
    """One number for each dimension of the residual stream."""

    def __init__(self, width: int, opening: float) -> None:
        super().__init__(torch.full((width,), float(opening)))


class InputGate(nn.Module):
    """One number for each position, linear in what the part reads there, layer-normed."""

    def __init__(self, width: int, opening: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.tensor(float(opening)))

    @torch.no_grad()
    def open_to(self, opening: float) -> None:
        """Sets g, alike for all inputs."""
        self.weight.zero_()
        self.bias.fill_(opening)

    def forward(self, x: Tensor) -> Tensor:
        """g [..., 1], of x [..., width]."""
        normed = functional.layer_norm(x, x.shape[-1:])
        return (normed @ self.weight + self.bias)[..., None]


GATES: dict[str, type[ScalarGate | VectorGate | InputGate]] = {
    "scalar": ScalarGate,
    "vector": VectorGate,
    "input": InputGate,
}
