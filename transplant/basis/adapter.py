"""An adapter inside a basis: dW = U_r C R_r, of which C alone is trained.

    R_r = D_r^-1 U_r' W        so U_r D_r R_r = U_r U_r' W, the best rank-r W on the text
    dW x = U_r C z             z = R_r x = D_r^-1 U_r' y, white: E z z' = I, so E|dW x|^2 = |C|_F^2

C [r, r] is zero at the start. As a LoRA it is B = U_r C, A = R_r, alpha = r.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.basis.maps import LinearMap
from transplant.basis.spectrum import Spectrum
from transplant.errors import CorruptError, foreign
from transplant.surgery.lora.update import LoraUpdate, Pair

U, C, R = "U", "C", "R"


@dataclass(frozen=True)
class Subspace:
    """Where an adapter of one map may write (U_r) and how it reads (R_r); float32."""

    u: Tensor  # [out, r]
    r: Tensor  # [r, in]

    @property
    def rank(self) -> int:
        """The rank r."""
        return len(self.r)


def subspace(weight: Tensor, spectrum: Spectrum, rank: int) -> Subspace:
    """The leading directions of a map as a place for an adapter.

    Args:
        weight: W [out, in].
        spectrum: of the outputs of that map.
        rank: no larger than the directions that were kept.
    """
    u = spectrum.vectors[:, :rank].double()
    scales = spectrum.scales[:rank].double()
    r = (u.T @ weight.detach().cpu().double()) / scales[:, None]
    return Subspace(u.float().contiguous(), r.float().contiguous())


class BasisAdapter(nn.Module):
    """The matrices C of some maps, each inside its frozen subspace.

    Args:
        subspaces: by the name of the map.
    """

    def __init__(self, subspaces: Mapping[str, Subspace]) -> None:
        super().__init__()
        self.names = tuple(subspaces)
        self.subspaces = dict(subspaces)
        self.c = nn.ParameterList(torch.zeros(s.rank, s.rank) for s in subspaces.values())

    @property
    def trainable(self) -> int:
        """Parameters that are trained: the sum of r^2."""
        return sum(c.numel() for c in self.c)

    def change(self, name: str, x: Tensor) -> Tensor:
        """U_r C R_r x [..., out] of inputs [..., in], in single precision."""
        s, c = self.subspaces[name], self.c[self.names.index(name)]
        z = functional.linear(x.to(s.r.dtype), s.r)  # [..., r]
        return functional.linear(functional.linear(z, c), s.u)

    @contextmanager
    def attached(self, maps: Sequence[LinearMap]) -> Iterator[None]:
        """Has the changes at work in these maps inside the block, with gradients of C."""
        with ExitStack() as stack:
            for found in maps:
                if found.name not in self.subspaces:
                    continue

                def add(_m: Any, args: Any, output: Tensor, name: str = found.name) -> Tensor:
                    return (output + self.change(name, args[0])).to(output.dtype)

                stack.callback(found.module.register_forward_hook(add).remove)
            yield

    def to_device(self, device: torch.device) -> BasisAdapter:
        """The same adapter, moved: the frozen parts as well."""
        self.to(device)
        moved = {n: Subspace(s.u.to(device), s.r.to(device)) for n, s in self.subspaces.items()}
        self.subspaces = moved
        return self

    @torch.no_grad()
    def as_lora(self) -> LoraUpdate:
        """B = U_r C [out, r], A = R_r [r, in], scale 1."""
        found = zip(self.subspaces.items(), self.c, strict=True)
        pairs = {
            name: Pair(s.r.cpu(), (s.u @ c).cpu().contiguous(), None, 1.0) for (name, s), c in found
        }
        return LoraUpdate(pairs, {})

    def as_tensors(self) -> dict[str, Tensor]:
        """U_r, C and R_r by map, for a file; `from_tensors` reads them back."""
        found: dict[str, Tensor] = {}
        for (name, s), c in zip(self.subspaces.items(), self.c, strict=True):
            parts = {U: s.u, C: c.detach(), R: s.r}
            found |= {f"{name}.{part}": t.cpu().contiguous() for part, t in parts.items()}
        return found

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> BasisAdapter:
        """What `as_tensors` gave out.

        Raises:
            CorruptError: a part is missing, or does not fit the others.
        """
        names = [name.removesuffix(f".{C}") for name in tensors if name.endswith(f".{C}")]
        with foreign("an adapter inside a basis lacks a part of a map", CorruptError):
            made = cls({n: Subspace(tensors[f"{n}.{U}"], tensors[f"{n}.{R}"]) for n in names})
            for name, c in zip(names, made.c, strict=True):
                c.data.copy_(tensors[f"{name}.{C}"])
        return made


def adapter_of(
    maps: Sequence[LinearMap], spectra: Mapping[str, Spectrum], ranks: Mapping[str, int]
) -> BasisAdapter:
    """An adapter with C = 0 in the subspaces of these ranks; maps of rank 0 have none."""
    return BasisAdapter(
        {
            found.name: subspace(found.weight, spectra[found.name], ranks[found.name])
            for found in maps
            if ranks.get(found.name)
        }
    )
