"""The forms of domain modules: the toolkit's own, and those that live in a LayerCake core.

The forms of a core compute h + exp(a) * (F(h) - h). What passes through unchanged is already in
the core's residual stream, so here y is the change alone: exp(a) * (F(z) - z).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from transplant.backbones.layercake.forms import Form, Full, Lite
from transplant.errors import ShapeError
from transplant.modules.domain import DomainModule, init_linear
from transplant.modules.tensors import load_tensors

EXPANSION = 4
# Above 1, so that what the module computes outweighs the z that it passes on: a module whose
# output is mostly its input could be replaced by a random one without much loss.
ALPHA = 2.0


class MlpModule(DomainModule):
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
        """Maps z [..., d_abi] to y [..., d_abi], each position alone."""
        hidden = nn.functional.gelu(self.w1(z))  # [..., 4 * d_abi]
        return z + self.alpha * self.norm(self.w2(hidden))

    def y(self, z: Tensor, windows: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """`forward`."""
        return self(z)

    def untrained(self, generator: torch.Generator) -> MlpModule:
        """A new one."""
        return MlpModule(self.d_abi, generator=generator)


class _CoreModule(DomainModule, Form):
    """A core's form as a domain module: the same tensors under the same names."""

    def __init__(self, d_abi: int) -> None:
        super().__init__(d_abi)  # pyright: ignore[reportCallIssue]  the form's
        self.d_abi = d_abi

    @torch.no_grad()
    def untrained(self, generator: torch.Generator) -> DomainModule:
        """One whose tensors have this one's means and deviations: a new one would be silent."""
        twin = type(self)(self.d_abi)
        for name, tensor in twin.state_dict().items():
            own = self.state_dict()[name].float()
            spread = own.std().item() if own.numel() > 1 else 0.0
            tensor.normal_(own.mean().item(), spread, generator=generator)
        return twin


class LiteModule(_CoreModule, Lite):
    """The gated MLP."""

    def y(self, z: Tensor, windows: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """The change at each position alone, for z [..., d_abi]."""
        return self(z) - z


class FullModule(_CoreModule, Full):
    """The two causal layers."""

    reads_windows = True

    def y(self, z: Tensor, windows: Tensor | None = None) -> Tensor:
        """The change, for z [batch, seq, d_abi], or [rows, d_abi] with their `windows`."""
        if windows is None:
            return self(z) - z
        counts = torch.unique_consecutive(windows, return_counts=True)[1]
        padded = pad_sequence(list(z.split(counts.tolist())), batch_first=True)
        real = torch.arange(padded.shape[1], device=z.device) < counts[:, None]
        # Padding comes after the text, and the module is causal: no row sees it.
        return (self(padded) - padded)[real]


CORE_FORMS: dict[str, type[LiteModule] | type[FullModule]] = {
    "lite": LiteModule,
    "full": FullModule,
}


def module_from_tensors(tensors: Mapping[str, Tensor]) -> DomainModule:
    """Rebuilds a module of any form from its stored tensors.

    Raises:
        ShapeError: tensors are missing, unknown or of other shapes.
    """
    for first, make in (
        ("w1.weight", MlpModule),
        ("gate.weight", LiteModule),
        ("layers.0.qkv.weight", FullModule),
    ):
        if first in tensors:
            module = make(tensors[first].shape[1])
            load_tensors(module, tensors, "domain module")
            return module
    raise ShapeError(
        "no domain module",
        expected="w1.weight, or the tensors of a core's module",
        found=sorted(tensors),
    )
