"""The domain module: the portable part, a function on R^d_abi."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from transplant.errors import ShapeError

EXPANSION = 4
# Above 1, so that what the module computes outweighs the z that it passes on: a module whose
# output is mostly its input could be replaced by a random one without much loss.
ALPHA = 2.0


class DomainModule(nn.Module):
    """y = z + alpha * LN(W2 gelu(W1 z + b1) + b2), hidden width 4 * d_abi (DESIGN, section 2).

    Args:
        d_abi: the width of the shared space; no shape depends on any backbone.
        generator: the source of the initial weights.
    """

    def __init__(self, d_abi: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.d_abi = d_abi
        self.w1 = nn.Linear(d_abi, EXPANSION * d_abi)
        self.w2 = nn.Linear(EXPANSION * d_abi, d_abi)
        self.norm = nn.LayerNorm(d_abi)
        self.alpha = nn.Parameter(torch.full((), ALPHA))
        init_linear(self.w1, generator)
        init_linear(self.w2, generator)

    def forward(self, z: Tensor) -> Tensor:
        """Maps z [..., d_abi] to y [..., d_abi]."""
        hidden = nn.functional.gelu(self.w1(z))  # [..., 4 * d_abi]
        return z + self.alpha * self.norm(self.w2(hidden))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> DomainModule:
        """Rebuilds a module from its stored tensors.

        Raises:
            ShapeError: tensors are missing, unknown or of other shapes.
        """
        if "w1.weight" not in tensors:
            raise ShapeError("no domain module", expected="w1.weight", found=sorted(tensors))
        module = cls(tensors["w1.weight"].shape[1])
        load_tensors(module, tensors, "domain module")
        return module


def init_linear(linear: nn.Linear, generator: torch.Generator | None) -> None:
    """Draws a linear map from N(0, 1 / fan-in), bias 0, from a generator of its own."""
    with torch.no_grad():
        linear.weight.normal_(0.0, linear.in_features**-0.5, generator=generator)
        if linear.bias is not None:
            linear.bias.zero_()


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Copies stored tensors into a module, exactly.

    Raises:
        ShapeError: names the first tensor that is missing, unknown or of another shape.
    """
    expected = module.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        want = tuple(expected[name].shape) if name in expected else "no such tensor"
        got = tuple(tensors[name].shape) if name in tensors else "nothing"
        if want != got:
            raise ShapeError(f"{what}: {name}", expected=want, found=got)
    module.load_state_dict(dict(tensors))
