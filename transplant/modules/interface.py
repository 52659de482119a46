"""The interface: the part that belongs to one backbone and stays at home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from transplant.errors import ShapeError
from transplant.modules.domain import init_linear
from transplant.modules.tensors import load_tensors


class Interface(nn.Module):
    """z = LN(t P_in), c = y P_out, with t the tap, or several taps layer-normed and concatenated.

    Both maps carry an intercept: a closed-form fit needs one, and training may leave it at zero.

    Args:
        d_model: the width of the backbone.
        d_abi: the width of the shared space.
        taps: the layers that are read.
        tap_norms: whether each tap is layer-normed; None: where there are several.
        generator: the source of the initial weights; `P_out` starts at zero, so that an untrained
            interface leaves the backbone as it is.
    """

    def __init__(
        self,
        d_model: int,
        d_abi: int,
        taps: Sequence[int],
        *,
        tap_norms: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.d_abi = d_abi
        self.taps = tuple(taps)
        normed = len(self.taps) > 1 if tap_norms is None else tap_norms
        self.tap_norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in self.taps if normed)
        self.proj_in = nn.Linear(len(self.taps) * d_model, d_abi)
        self.abi_norm = nn.LayerNorm(d_abi)
        self.proj_out = nn.Linear(d_abi, d_model)
        init_linear(self.proj_in, generator)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def gather(self, taps: Mapping[int, Tensor]) -> Tensor:
        """t [..., n_taps * d_model] from the hidden states of each tap [..., d_model]."""
        states = [self.tap_state(taps, number) for number in range(len(self.taps))]
        return states[0] if len(states) == 1 else torch.cat(states, dim=-1)

    def tap_state(self, taps: Mapping[int, Tensor], number: int) -> Tensor:
        """One tap's part of t [..., d_model], by its place among the taps, in its own precision."""
        state = taps[self.taps[number]].to(self.proj_in.weight.dtype)
        return self.tap_norms[number](state) if self.tap_norms else state

    def read_in(self, taps: Mapping[int, Tensor]) -> Tensor:
        """z [..., d_abi], what the domain module sees."""
        return self.normed(self.gather(taps))

    def normed(self, t: Tensor) -> Tensor:
        """z [..., d_abi] = LN(t P_in), from taps that are gathered already."""
        return self.abi_norm(self.proj_in(t))

    def write_out(self, y: Tensor) -> Tensor:
        """The correction [..., d_model] for the module's output y [..., d_abi]."""
        return self.proj_out(y)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], taps: Sequence[int]) -> Interface:
        """Rebuilds an interface from its stored tensors.

        Raises:
            ShapeError: tensors are missing, unknown or of other shapes.
        """
        if "proj_out.weight" not in tensors:
            raise ShapeError("no interface", expected="proj_out.weight", found=sorted(tensors))
        d_model, d_abi = tensors["proj_out.weight"].shape
        interface = cls(d_model, d_abi, taps, tap_norms="tap_norms.0.weight" in tensors)
        load_tensors(interface, tensors, "interface")
        return interface
