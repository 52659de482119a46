"""A correction without a module: an affine map of the taps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from transplant.alignment.basis import TapBases
from transplant.errors import ShapeError
from transplant.modules.interface import Interface
from transplant.modules.tensors import load_part

READING = ("proj_in", "abi_norm", "proj_out")  # of the interface, which only gathers


class LinearCorrection(nn.Module):
    """c = x W + b, with x the taps, or columns of them. The linear surrogate's shape.

    Args:
        interface: only its reading of the taps is used.
        bases: what of each tap is read; None for all of it.
    """

    def __init__(self, interface: Interface, bases: TapBases | None = None) -> None:
        super().__init__()
        self.interface = interface
        self.bases = nn.ParameterList(() if bases is None else bases.blocks)
        width = interface.proj_in.in_features if bases is None else bases.columns
        self.proj_out = nn.Linear(width, interface.d_model)

    @property
    def taps(self) -> tuple[int, ...]:
        """The taps it reads."""
        return self.interface.taps

    def forward(self, taps: Mapping[int, Tensor], windows: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """The correction [..., d_model], each position alone."""
        return self.proj_out(self.gather(taps))

    def gather(self, taps: Mapping[int, Tensor]) -> Tensor:
        """What it reads [..., columns]."""
        if not self.bases:
            return self.interface.gather(taps)
        states = (self.interface.tap_state(taps, number) for number in range(len(self.taps)))
        return TapBases(tuple(self.bases))(states)

    def stored(self) -> dict[str, Tensor]:
        """The tensors that it is rebuilt from, under the names that files have."""
        unused = tuple(f"interface.{part}." for part in READING)
        return {
            name: tensor.detach().contiguous()
            for name, tensor in self.state_dict().items()
            if not name.startswith(unused)
        }

    @classmethod
    def from_stored(cls, tensors: Mapping[str, Tensor], taps: Sequence[int]) -> LinearCorrection:
        """Rebuilds what `stored` gave.

        Raises:
            ShapeError: tensors are missing, unknown or of other shapes.
        """
        if "proj_out.bias" not in tensors:
            raise ShapeError("no linear map", expected="proj_out.bias", found=sorted(tensors)[:3])
        interface = reading_of(
            len(tensors["proj_out.bias"]),
            taps,
            tap_norms="interface.tap_norms.0.weight" in tensors,
        )
        blocks = [tensors[f"bases.{n}"] for n in range(len(taps)) if f"bases.{n}" in tensors]
        if blocks and len(blocks) < len(taps):
            raise ShapeError("bases of taps", expected=len(taps), found=len(blocks))
        made = cls(interface, TapBases(tuple(blocks)) if blocks else None)
        load_part(made, made.stored(), tensors, "linear map")
        return made.requires_grad_(False).eval()


def reading_of(d_model: int, taps: Sequence[int], *, tap_norms: bool | None = None) -> Interface:
    """An interface that gathers taps; what else it has is as small as can be, and zero."""
    interface = Interface(d_model, 1, taps, tap_norms=tap_norms)
    nn.init.zeros_(interface.proj_in.weight)
    return interface.requires_grad_(False).eval()
