"""Adapter folders written by hand: what PEFT's save_pretrained leaves, without PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

PREFIX = "base_model.model."
CONFIG: dict[str, Any] = {
    "peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["c_attn"], "bias": "none",
    "fan_in_fan_out": True, "init_lora_weights": True, "lora_dropout": 0.1, "modules_to_save": None,
    "base_model_name_or_path": "somewhere",
}  # fmt: skip


def gpt2_tensors(layers: int = 2, width: int = 32, rank: int = 2) -> dict[str, torch.Tensor]:
    """A pair on `c_attn` of every block of a tiny GPT-2."""
    draw = torch.Generator().manual_seed(0)
    made = {}
    for layer in range(layers):
        start = f"{PREFIX}transformer.h.{layer}.attn.c_attn"
        made[f"{start}.lora_A.weight"] = torch.randn(rank, width, generator=draw)
        made[f"{start}.lora_B.weight"] = torch.randn(3 * width, rank, generator=draw) * 0.3
    return made


def write_folder(
    folder: Path, tensors: dict[str, torch.Tensor] | None = None, **config: Any
) -> Path:
    """An adapter of a tiny GPT-2, or of other tensors and settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}))
    save_file(gpt2_tensors() if tensors is None else tensors, folder / "adapter_model.safetensors")
    return folder
