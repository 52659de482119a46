"""The type in which a training step multiplies matrices."""

from __future__ import annotations

import torch


def matmul_type(wanted: str, device: torch.device) -> torch.dtype:
    """`wanted` of `MATMUL_TYPES`; for `auto` bfloat16 where `device` multiplies it natively."""
    if wanted == "auto":
        return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for products of bfloat16 (elsewhere they are slow)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def rounded_products(device: torch.device, dtype: torch.dtype, *, learns: bool) -> torch.autocast:
    """A block in which matrices of float32 are multiplied in `dtype`, where something learns."""
    rounds = learns and dtype != torch.float32
    return torch.autocast(device.type, dtype, enabled=rounds, cache_enabled=False)
