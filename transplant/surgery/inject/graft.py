"""A graft: input bridge, donor part, output bridge, gate.

z = sum_k m_k(x) (x A_k + a_k)          x: the target's residual stream, as its own part reads it
d = sum_k m_k(x) (part(z) B_k + b_k)    m: softmax over the specialists, 1 where there is one
out = base + g(x) * (d - base)          base: what the target's own part adds
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.alignment.affine import AffineMap
from transplant.backbones.layercake.blocks import Span
from transplant.modules.tensors import load_part
from transplant.surgery.bank.piece import Part
from transplant.surgery.inject.config import InjectConfig
from transplant.surgery.inject.gate import GATES


class Bare(nn.Module):
    """No donor at all: what is read is what is added. A control for the bridges around it."""

    sequential = False

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor, *_: object) -> Tensor:
        """x itself."""
        return x


class Bridges(nn.Module):
    """Into the donor's space and back; several specialists may share the work.

    Args:
        width: of the target's residual stream.
        donor_width: of the donor's.
        specialists: how many.
    """

    def __init__(self, width: int, donor_width: int, specialists: int) -> None:
        super().__init__()
        self.inward = nn.Parameter(torch.zeros(specialists, width, donor_width))
        self.inward_bias = nn.Parameter(torch.zeros(specialists, donor_width))
        self.outward = nn.Parameter(torch.zeros(specialists, donor_width, width))
        self.outward_bias = nn.Parameter(torch.zeros(specialists, width))
        if specialists > 1:
            self.mix_weight = nn.Parameter(torch.zeros(width, specialists))
            self.mix_bias = nn.Parameter(torch.zeros(specialists))

    @property
    def specialists(self) -> int:
        """How many there are."""
        return len(self.inward)

    def shares(self, x: Tensor) -> Tensor:
        """m [..., specialists] of x [..., width]: how the work is divided."""
        if self.specialists == 1:
            return x.new_ones(*x.shape[:-1], 1)
        normed = functional.layer_norm(x, x.shape[-1:])
        return (normed @ self.mix_weight + self.mix_bias).softmax(-1)

    def read_in(self, x: Tensor, shares: Tensor) -> Tensor:
        """z [..., donor_width]."""
        return _mixed(x, self.inward, self.inward_bias, shares)

    def write_out(self, y: Tensor, shares: Tensor) -> Tensor:
        """d [..., width] of the donor's y [..., donor_width]."""
        return _mixed(y, self.outward, self.outward_bias, shares)

    @torch.no_grad()
    def set_inward(self, fitted: AffineMap) -> None:
        """Starts every specialist's way in from one map."""
        self.inward.copy_(fitted.weight.expand_as(self.inward))
        self.inward_bias.copy_(fitted.bias.expand_as(self.inward_bias))

    @torch.no_grad()
    def set_outward(self, fitted: AffineMap) -> None:
        """Starts every specialist's way out from one map."""
        self.outward.copy_(fitted.weight.expand_as(self.outward))
        self.outward_bias.copy_(fitted.bias.expand_as(self.outward_bias))

    @torch.no_grad()
    def tell_apart(self, seed: int, scale: float = 0.02) -> None:
        """Gives each specialist inputs of its own: equal ones would learn the same for ever."""
        if self.specialists > 1:
            generator = torch.Generator().manual_seed(seed)
            draw = torch.randn(self.mix_weight.shape, generator=generator)
            self.mix_weight.copy_(scale * draw)


class Graft(nn.Module):
    """What an injected part changes about what the target's own part adds.

    Args:
        part: the donor's, frozen.
        width: of the target's residual stream.
        config: gate and bridges.
    """

    def __init__(self, part: Part | Bare, width: int, config: InjectConfig) -> None:
        super().__init__()
        self.part = part.requires_grad_(False)
        self.bridges = Bridges(width, part.width, config.mixture)
        self.bridges.tell_apart(config.seed)
        self.gate = GATES[config.gate](width, config.opening)

    def donor(self, x: Tensor, span: Span | None = None, layer: int = 0) -> Tensor:
        """d [..., width], what the part would add in place of the target's own.

        Args:
            x: [batch, seq, width], or rows for a part that reads positions one by one.
            span: positions, padding and cache, for a part that attends.
            layer: its own in the cache.
        """
        shares = self.bridges.shares(x)
        z = self.bridges.read_in(x, shares)
        y = self.part(z, span, layer) if self.part.sequential else self.part(z)
        return self.bridges.write_out(y, shares)

    def forward(self, x: Tensor, base: Tensor, span: Span | None = None, layer: int = 0) -> Tensor:
        """g * (d - base), to be added to what is there; computed in the graft's own precision."""
        states = x.to(self.bridges.inward.dtype)
        return (self.gate(states) * self.delta(x, base, span, layer)).to(x.dtype)

    def delta(self, x: Tensor, base: Tensor, span: Span | None = None, layer: int = 0) -> Tensor:
        """d - base, what an open gate would add, in the graft's own precision."""
        own = self.bridges.inward.dtype
        return self.donor(x.to(own), span, layer) - base.to(own)

    def own_tensors(self) -> dict[str, Tensor]:
        """Bridges and gate: all but the donor's part, which the bank holds."""
        return {
            name: tensor.detach()
            for name, tensor in self.state_dict().items()
            if not name.startswith("part.")
        }

    def load_own(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes bridges and gate as they were stored.

        Raises:
            ShapeError: tensors are missing, unknown or of other shapes.
        """
        load_part(self, self.own_tensors(), tensors, "graft")


def _mixed(x: Tensor, weight: Tensor, bias: Tensor, shares: Tensor) -> Tensor:
    """sum_k m_k (x W_k + b_k): [..., p] and [k, p, q] to [..., q]."""
    if len(weight) == 1:
        return x @ weight[0] + bias[0]
    each = torch.einsum("...p,kpq->...kq", x, weight) + bias
    return (shares[..., None] * each).sum(-2)
