"""Copies of a module with one number changed: the controls of a check, from the gentlest on.

Which number a check depends on differs from core to core, and how far it must move to be seen from
processor to processor. So a control is searched, and never one fixed bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

FORMATS = {
    "F64": (torch.float64, torch.int64, 52),
    "F32": (torch.float32, torch.int32, 23),
    "BF16": (torch.bfloat16, torch.int16, 7),
    "F16": (torch.float16, torch.int16, 10),
}
"""Of each: the type, integers of its size, and how many bits its mantissa has."""

RANKS = 2  # numbers of a tensor that are tried, the largest first
POWERS = (4, 8, 16, 32)  # of two, that a number is set to where no bit of it is seen


def flips(tensors: Mapping[str, Tensor]) -> Iterator[tuple[dict[str, Tensor], str]]:
    """Copies with one number changed, and where; none becomes NaN or infinite.

    One bit is flipped: in every tensor the highest of the mantissa, then the sign, then those of
    the exponent from the lowest on. Where none of them is enough, the whole number is set to
    powers of two: an exponent's bits go from hardly a change to overflow in one step.
    """
    names = sorted(tensors, key=lambda name: ("norm" not in name, name))
    for rank in range(RANKS):
        numbers = [_Number(tensors, name, rank) for name in names if tensors[name].numel() > rank]
        for step in range(max((len(number.bits) for number in numbers), default=0)):
            found = (number.flipped(step) for number in numbers)
            yield from (one for one in found if one is not None)
        for power in POWERS:
            found = (number.set_to(power) for number in numbers)
            yield from (one for one in found if one is not None)


def spread(tensors: Mapping[str, Tensor], most: int) -> Iterator[tuple[dict[str, Tensor], str]]:
    """At most so many of `flips`, two at least, evenly from the gentlest to the hardest."""
    total = sum(1 for _ in flips(tensors))
    most = max(2, min(most, total))
    chosen = {round(n * (total - 1) / (most - 1)) for n in range(most)}
    yield from (flip for n, flip in enumerate(flips(tensors)) if n in chosen)


class _Number:
    """One number of a module: that of a rank by size in a tensor."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, rank: int) -> None:
        self.tensors, self.name = tensors, name
        flat = tensors[name].detach().reshape(-1)
        self.index = int(flat.double().abs().topk(rank + 1).indices[rank])
        self.integers, mantissa = next(e[1:] for e in FORMATS.values() if e[0] == flat.dtype)
        sign = 8 * flat.element_size() - 1
        self.bits = (mantissa - 1, sign, *range(mantissa, sign))

    def flipped(self, step: int) -> tuple[dict[str, Tensor], str] | None:
        """The module with one of `bits` flipped."""
        if step >= len(self.bits):
            return None
        bit, flat = self.bits[step], self._copy()
        mask = torch.tensor(1, dtype=self.integers) << bit  # the sign's is the most negative number
        flat.view(self.integers)[self.index] ^= mask
        return self._module(flat, f"bit {bit} of {self.name}, element {self.index}")

    def set_to(self, power: int) -> tuple[dict[str, Tensor], str] | None:
        """The module with a power of two in its place, its sign kept."""
        flat = self._copy()
        if power >= math.log2(torch.finfo(flat.dtype).max):
            return None
        flat[self.index] = math.copysign(2.0**power, float(flat[self.index]))
        return self._module(flat, f"{self.name}, element {self.index}, set to 2^{power}")

    def _copy(self) -> Tensor:
        return self.tensors[self.name].detach().clone().reshape(-1)

    def _module(self, flat: Tensor, where: str) -> tuple[dict[str, Tensor], str] | None:
        if not flat[self.index].isfinite():
            return None
        return {**self.tensors, self.name: flat.view(self.tensors[self.name].shape)}, where
