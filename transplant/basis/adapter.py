"""An adapter inside a basis: dW = U_r C R_r, of which C alone is trained.

Of directions of outputs:

    R_r = D_r^-1 U_r' W        so U_r D_r R_r = U_r U_r' W, the best rank-r W on the text
    dW x = U_r C z             z = R_r x = D_r^-1 U_r' y, white: E z z' = I, so E|dW x|^2 = |C|_F^2

Of directions of gradients U is the identity, C is [out, r], and z is white times a scale on the
text that is to be kept (`transplant.basis.gradients`).

C is zero at the start. As a LoRA it is B = U_r C, A = R_r, alpha = r.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.basis.config import GRADIENTS
from transplant.basis.maps import LinearMap
from transplant.basis.spectrum import Spectrum
from transplant.errors import BackboneError, CorruptError, foreign
from transplant.surgery.lora.update import LoraUpdate, Pair

if TYPE_CHECKING:
    from transplant.basis.fit import Basis

U, C, R = "U", "C", "R"


@dataclass(frozen=True)
class Subspace:
    """Where an adapter of one map may write (U_r) and how it reads (R_r); float32."""

    u: Tensor | None  # [out, r]; None: anywhere, U is the identity
    r: Tensor  # [r, in]
    out: int

    @property
    def rank(self) -> int:
        """The rank r."""
        return len(self.r)

    @property
    def shape(self) -> tuple[int, int]:
        """Of C: [r, r], or [out, r] where it may write anywhere."""
        return (self.out if self.u is None else self.rank), self.rank

    def into(self, b: Tensor) -> Tensor:
        """The C with U C nearest to B [out, r]."""
        return b if self.u is None else self.u.T @ b.to(self.u.device)

    def out_of(self, c: Tensor) -> Tensor:
        """B = U C [out, r]."""
        return c if self.u is None else self.u @ c


def reading_subspace(spectrum: Spectrum, rank: int, out: int) -> Subspace:
    """The leading directions of gradients as a place for an adapter.

    Args:
        spectrum: its columns are rows of R.
        rank: no larger than the directions that were kept.
        out: the width of the map's outputs.
    """
    return Subspace(None, spectrum.vectors[:, :rank].T.float().contiguous(), out)


def subspace(weight: Tensor, spectrum: Spectrum, rank: int) -> Subspace:
    """The leading directions of a map's outputs as a place for an adapter.

    Args:
        weight: W [out, in].
        spectrum: of the outputs of that map.
        rank: no larger than the directions that were kept.
    """
    u = spectrum.vectors[:, :rank].double()
    scales = spectrum.scales[:rank].double()
    r = (u.T @ weight.detach().cpu().double()) / scales[:, None]
    return Subspace(u.float().contiguous(), r.float().contiguous(), len(weight))


class BasisAdapter(nn.Module):
    """The matrices C of some maps, each inside its frozen subspace.

    Args:
        subspaces: by the name of the map.
    """

    def __init__(self, subspaces: Mapping[str, Subspace]) -> None:
        super().__init__()
        self.names = tuple(subspaces)
        self.subspaces = dict(subspaces)
        self.c = nn.ParameterList(torch.zeros(s.shape) for s in subspaces.values())

    @property
    def trainable(self) -> int:
        """Parameters that are trained: those of every C."""
        return sum(c.numel() for c in self.c)

    def change(self, name: str, x: Tensor) -> Tensor:
        """U_r C R_r x [..., out] of inputs [..., in], in single precision."""
        s, c = self.subspaces[name], self.c[self.names.index(name)]
        inside = functional.linear(functional.linear(x.to(s.r.dtype), s.r), c)
        return inside if s.u is None else functional.linear(inside, s.u)

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
        for name, s in self.subspaces.items():
            u = None if s.u is None else s.u.to(device)
            self.subspaces[name] = Subspace(u, s.r.to(device), s.out)
        return self

    @torch.no_grad()
    def as_lora(self) -> LoraUpdate:
        """B = U_r C [out, r], A = R_r [r, in], scale 1."""
        found = zip(self.subspaces.items(), self.c, strict=True)
        pairs = {
            name: Pair(s.r.cpu(), s.out_of(c).cpu().contiguous(), None, 1.0)
            for (name, s), c in found
        }
        return LoraUpdate(pairs, {})

    def as_tensors(self) -> dict[str, Tensor]:
        """U_r, C and R_r by map, for a file; `from_tensors` reads them back.

        U_r without columns [out, 0] stands for the identity.
        """
        found: dict[str, Tensor] = {}
        for (name, s), c in zip(self.subspaces.items(), self.c, strict=True):
            parts = {U: s.r.new_zeros(s.out, 0) if s.u is None else s.u, C: c.detach(), R: s.r}
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
            made = cls({name: _subspace_in(tensors, name) for name in names})
            for name, c in zip(names, made.c, strict=True):
                c.data.copy_(tensors[f"{name}.{C}"])
        return made


def _subspace_in(tensors: Mapping[str, Tensor], name: str) -> Subspace:
    u = tensors[f"{name}.{U}"]
    return Subspace(u if u.shape[1] else None, tensors[f"{name}.{R}"], len(u))


def adapter_of(maps: Sequence[LinearMap], basis: Basis, ranks: Mapping[str, int]) -> BasisAdapter:
    """An adapter with C = 0 in the subspaces of these ranks; maps of rank 0 have none.

    Raises:
        BackboneError: directions of outputs, whose R is made of W, of a W that is not in memory.
    """
    places: dict[str, Subspace] = {}
    for found in maps:
        rank = ranks.get(found.name, 0)
        if not rank:
            continue
        spectrum = basis.spectra[found.name]
        if basis.directions == GRADIENTS:
            places[found.name] = reading_subspace(spectrum, rank, found.out)
        elif found.weight.is_meta:
            raise BackboneError(
                "an adapter inside directions of outputs needs the weights of its maps in memory",
                found=f"{found.name} on the disk", hint="without `device_map`",
            )  # fmt: skip
        else:
            places[found.name] = subspace(found.weight, spectrum, rank)
    return BasisAdapter(places)
