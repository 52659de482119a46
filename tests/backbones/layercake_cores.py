"""Tiny LayerCake cores whose weights are large enough to matter."""

from __future__ import annotations

from typing import Any

import torch

from transplant.backbones.layercake import LayerCakeConfig, LayerCakeForCausalLM, build_core

VOCAB, LAYERS = 61, 2
_SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 24,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 3,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "d_abi": 16,
}


def tiny_config(**changes: Any) -> LayerCakeConfig:
    return LayerCakeConfig(**{**_SHAPE, **changes})


def tiny_core(forms: dict[str, str] | None = None, seed: int = 0, **changes: Any):
    """A core with modules by name and form; their weights are drawn, so that none is identity."""
    core = build_core(tiny_config(**changes), seed)
    for number, (name, form) in enumerate((forms or {}).items()):
        core.add_domain_module(name, form, seed=number)
    return perturb(core).eval()


@torch.no_grad()
def perturb(core: LayerCakeForCausalLM, seed: int = 7) -> LayerCakeForCausalLM:
    """Draws every weight anew, biases, scalars and routers too."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in core.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return core


def draw_ids(batch: int, seq: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(1, VOCAB, (batch, seq), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits_of(core: LayerCakeForCausalLM, ids: torch.Tensor, **options: Any) -> torch.Tensor:
    return core(input_ids=ids, use_cache=False, **options).logits
