"""The forms of domain modules in a LayerCake core: functions on R^d_abi.

    h_out = h + exp(a) * (F(h) - h)

No shape depends on a core, so a module fits every core of the same d_abi. The projections that
write into F's residual stream start at zero: F(h) = h, and a new module changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization

from transplant.backbones.layercake.blocks import Block, Span, make_span, rotary_angles
from transplant.errors import InputError

THETA = 10_000.0  # the module's own: a core's would change the function when a module moves


class Form(nn.Module, ABC):
    """A domain module: [batch, seq, d_abi] to the same shape."""

    cache_layers = 0
    """How many layers of the key-value cache it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(()))

    @abstractmethod
    def last_projections(self) -> Iterable[nn.Linear]:
        """The projections that write into the residual stream of `transform`."""

    @abstractmethod
    def transform(self, h: Tensor, span: Span | None, first_layer: int) -> Tensor:
        """F(h)."""

    def forward(self, h: Tensor, span: Span | None = None, first_layer: int = 0) -> Tensor:
        """h + exp(a) * (F(h) - h).

        Args:
            h: [batch, seq, d_abi].
            span: what each position reads; all up to itself where not given.
            first_layer: the module's first layer in the cache.
        """
        return h + torch.exp(self.a) * (self.transform(h, span, first_layer) - h)

    def become_identity(self) -> None:
        """Zeroes the last projections and `a`, but for tensors just read from a file."""
        initialization.zeros_(self.a)
        for projection in self.last_projections():
            initialization.zeros_(projection.weight)
            initialization.zeros_(projection.bias)


class Lite(Form):
    """A gated MLP (SwiGLU, arXiv:2002.05202) on each position alone: 9 tensors."""

    def __init__(self, d_abi: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_abi)
        self.gate = nn.Linear(d_abi, 2 * d_abi)
        self.up = nn.Linear(d_abi, 2 * d_abi)
        self.down = nn.Linear(2 * d_abi, d_abi)
        self.become_identity()

    def last_projections(self) -> Iterable[nn.Linear]:
        """The down projection."""
        return (self.down,)

    def transform(self, h: Tensor, span: Span | None, first_layer: int) -> Tensor:  # noqa: ARG002
        """h + down(silu(gate(n)) * up(n)), with n the normalised h."""
        normed = self.norm(h)
        return h + self.down(functional.silu(self.gate(normed)) * self.up(normed))


class Full(Form):
    """Two causal transformer layers with rotary positions: 25 tensors."""

    cache_layers = 2

    def __init__(self, d_abi: int) -> None:
        super().__init__()
        n_heads = choose_heads(d_abi)
        self.head_dim = d_abi // n_heads
        self.layers = nn.ModuleList(
            Block(d_abi, n_heads, 4 * d_abi) for _ in range(self.cache_layers)
        )
        self.become_identity()

    def last_projections(self) -> Iterable[nn.Linear]:
        """Both of each layer."""
        for block in self.layers:
            assert isinstance(block, Block)
            yield from block.last_projections

    def transform(self, h: Tensor, span: Span | None, first_layer: int) -> Tensor:
        """The two layers, one after the other."""
        span = span or make_span(h.shape[1], h.device)
        angles = rotary_angles(span.positions, self.head_dim, THETA, h.dtype)
        for number, block in enumerate(self.layers):
            h = block(h, span, angles, first_layer + number)
        return h


def choose_heads(d_abi: int) -> int:
    """The most heads, up to 8, whose width is an even whole number.

    Raises:
        InputError: d_abi is odd.
    """
    for n_heads in range(8, 0, -1):
        if d_abi % (2 * n_heads) == 0:
            return n_heads
    raise InputError("a `full` module cannot turn an odd width", expected="even d_abi", found=d_abi)


FORMS: dict[str, type[Lite] | type[Full]] = {"lite": Lite, "full": Full}
