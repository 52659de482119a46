"""The type in which a training step multiplies matrices."""

from __future__ import annotations

import torch

from transplant.backbones.arithmetic import multiplies


def matmul_type(wanted: str, device: torch.device) -> torch.dtype:
    """`wanted` of `MATMUL_TYPES`; for `auto` bfloat16 where `device` multiplies it natively."""
    if wanted == "auto":
        return torch.bfloat16 if multiplies(device, torch.bfloat16) else torch.float32
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def rounded_products(device: torch.device, dtype: torch.dtype, *, learns: bool) -> torch.autocast:
    """A block in which matrices of float32 are multiplied in `dtype`, where something learns."""
    rounds = learns and dtype != torch.float32
    return torch.autocast(device.type, dtype, enabled=rounds, cache_enabled=False)


def fast_products(device: torch.device) -> torch.autocast:
    """A block in which matrices are multiplied in bfloat16 where `device` does so natively.

    Elsewhere every product would be emulated, which takes several times as long as in float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=multiplies(device, torch.bfloat16))
