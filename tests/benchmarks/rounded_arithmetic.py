"""Products as a processor with instructions for 16 bits computes them, on one that has none.

Such a processor multiplies numbers of bfloat16, sums the products in float32 and rounds what comes
out to bfloat16. Torch does the same without those instructions, one number after another; here the
operands are widened, which loses nothing, multiplied by the fast routines of float32, and the
result is rounded. What is no product is left to torch.

    python -m tests.benchmarks.rounded_arithmetic VERB ...      # `abi VERB ...` in that arithmetic
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from transplant.backbones import arithmetic

_ATEN = torch.ops.aten
PRODUCTS = frozenset({
    _ATEN.mm.default, _ATEN.addmm.default, _ATEN.bmm.default, _ATEN.baddbmm.default,
    _ATEN._scaled_dot_product_flash_attention_for_cpu.default,
})  # fmt: skip
"""All that `linear`, `matmul`, `einsum` and attention come to on a processor."""


class RoundedProducts(TorchDispatchMode):
    """A block in which products of bfloat16 are computed in float32 and rounded."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Runs one operation of torch."""
        given: Mapping[str, Any] = kwargs or {}
        if func not in PRODUCTS or not any(_is_rounded(arg) for arg in args):
            return func(*args, **given)
        wide = {name: _widened(value) for name, value in given.items()}  # a mask is a keyword
        return _rounded(func(*map(_widened, args), **wide))


def _is_rounded(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16


def _widened(value: Any) -> Any:
    return value.float() if _is_rounded(value) else value


def _rounded(found: Any) -> Any:
    """The product rounded; of attention what it gives, not the logarithms of its sums."""
    if isinstance(found, tuple):
        return found[0].bfloat16(), *found[1:]
    return found.bfloat16()


def main() -> None:
    """Runs a verb of `abi` as on a processor that multiplies bfloat16."""
    from commands.entry import main as run

    arithmetic.multiplies = lambda *_: True
    with RoundedProducts():
        run()


if __name__ == "__main__":
    sys.exit(main())
