"""Tiny random models of every family, built on a tokenizer that the caller gives."""

from __future__ import annotations

import copy
from typing import Any

import torch
import transformers as hf
from transformers import PreTrainedTokenizerFast

from transplant.backbones.layercake import LayerCakeConfig, LayerCakeForCausalLM
from transplant.backbones.view import Backbone
from transplant.backbones.views import view_of

WIDTH, LAYERS, HEADS, CONTEXT = 32, 2, 4, 128
_LLAMA_LIKE = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
}
_GEMMA_LIKE = {**_LLAMA_LIKE, "head_dim": 8}
_LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
}  # fmt: skip
# As Gemma 3: a sliding window in some layers, whose rotary positions have frequencies of their own.
_GEMMA3 = {
    **_GEMMA_LIKE, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        "full_attention": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0},
    },
}  # fmt: skip
_SMOLLM3 = {**_LLAMA_LIKE, "no_rope_layers": [1, 0]}
_EXPERTS = {**_GEMMA_LIKE, "num_experts_per_tok": 2}
_GPT2 = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": CONTEXT}
_NEOX = {**_LLAMA_LIKE, "num_key_value_heads": None}
_OPT = {
    "hidden_size": WIDTH,
    "word_embed_proj_dim": 16,  # as OPT-350m: projections around the decoder
    "ffn_dim": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": CONTEXT,
    "do_layer_norm_before": False,
}
_CAKE = {key: _LLAMA_LIKE[key] for key in _LLAMA_LIKE if key != "num_key_value_heads"}
_CAKE |= {"d_abi": 16, "domain_modules": {"tales": {"form": "full"}}}
_OPT_PLAIN = {**_OPT, "word_embed_proj_dim": WIDTH, "do_layer_norm_before": True}
_T5 = {"d_model": WIDTH, "d_kv": 8, "num_heads": HEADS, "d_ff": 48, "num_layers": LAYERS}


def _with_eyes(**options: Any) -> hf.Gemma3Config:
    """Gemma 3 as it is from 4B on: the language model beside one that sees."""
    sees = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "image_size": 16,
        "num_attention_heads": 2, "patch_size": 8,
    }  # fmt: skip
    return hf.Gemma3Config(text_config=options, vision_config=sees, mm_tokens_per_image=4)


FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "gpt2": (hf.GPT2Config, hf.GPT2LMHeadModel, _GPT2),
    "gpt_neox": (hf.GPTNeoXConfig, hf.GPTNeoXForCausalLM, _NEOX),
    "llama": (hf.LlamaConfig, hf.LlamaForCausalLM, _LLAMA_LIKE),
    "mistral": (hf.MistralConfig, hf.MistralForCausalLM, {**_LLAMA_LIKE, "sliding_window": 16}),
    "qwen2": (hf.Qwen2Config, hf.Qwen2ForCausalLM, _LLAMA_LIKE),
    "qwen3": (hf.Qwen3Config, hf.Qwen3ForCausalLM, _GEMMA_LIKE),
    "gemma": (hf.GemmaConfig, hf.GemmaForCausalLM, _GEMMA_LIKE),
    "gemma2": (hf.Gemma2Config, hf.Gemma2ForCausalLM, _GEMMA_LIKE),
    "llama3": (
        hf.LlamaConfig,
        hf.LlamaForCausalLM,
        {**_LLAMA_LIKE, "rope_parameters": _LLAMA3_ROPE},
    ),
    "llama-padded": (hf.LlamaConfig, hf.LlamaForCausalLM, {**_LLAMA_LIKE, "padding_rows": 24}),
    "gemma3_text": (hf.Gemma3TextConfig, hf.Gemma3ForCausalLM, _GEMMA3),
    "gemma3": (_with_eyes, hf.Gemma3ForConditionalGeneration, _GEMMA3),
    "phi3": (hf.Phi3Config, hf.Phi3ForCausalLM, {**_LLAMA_LIKE, "sliding_window": 16}),
    "olmo2": (hf.Olmo2Config, hf.Olmo2ForCausalLM, _LLAMA_LIKE),
    "smollm3": (hf.SmolLM3Config, hf.SmolLM3ForCausalLM, _SMOLLM3),
    "mixtral": (
        hf.MixtralConfig,
        hf.MixtralForCausalLM,
        {**_EXPERTS, "num_local_experts": 4},
    ),
    "qwen3_moe": (
        hf.Qwen3MoeConfig,
        hf.Qwen3MoeForCausalLM,
        {**_EXPERTS, "num_experts": 4, "moe_intermediate_size": 24},
    ),
    "opt": (hf.OPTConfig, hf.OPTForCausalLM, _OPT_PLAIN),
    "opt-projected": (hf.OPTConfig, hf.OPTForCausalLM, _OPT),
    "t5": (hf.T5Config, hf.T5ForConditionalGeneration, _T5),
    "t5-untied": (
        hf.T5Config,
        hf.T5ForConditionalGeneration,
        {**_T5, "tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"},
    ),
    "layercake": (LayerCakeConfig, LayerCakeForCausalLM, _CAKE),
    "phi": (hf.PhiConfig, hf.PhiForCausalLM, {**_LLAMA_LIKE, "num_key_value_heads": 4}),
}

WHOLE = [family for family in FAMILIES if family not in ("phi", "olmo2", "mixtral", "qwen3_moe")]
"""Families of which every piece can be taken out and put elsewhere."""


def tiny_model(
    family: str, tokenizer: PreTrainedTokenizerFast, seed: int = 0, **changes: Any
) -> Any:
    """An untrained model of a family; its weights are drawn large enough to matter."""
    config_class, model_class, options = FAMILIES[family]
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }
    if family.startswith("t5"):
        ids["decoder_start_token_id"] = tokenizer.pad_token_id
    options = {**options, **ids, **changes}
    rows = len(tokenizer) + options.pop("padding_rows", 0)
    config = config_class(vocab_size=rows, **options)
    config.dropout_rate = config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def tiny_backbone(
    family: str, tokenizer: PreTrainedTokenizerFast, seed: int = 0, **changes: Any
) -> Backbone:
    """The view of a tiny model."""
    return view_of(f"tiny-{family}", tiny_model(family, tokenizer, seed, **changes), tokenizer)


@torch.no_grad()
def rotated_twin(donor: Backbone, rotation: torch.Tensor) -> Backbone:
    """A Llama with the donor's function whose residual stream is turned by `rotation`.

    RMSNorm with unit weights commutes with a rotation, so every hidden state is the donor's times
    `rotation` and every logit the same: a target on which a perfect move is known to exist.
    """
    model = copy.deepcopy(donor.model)
    model.model.embed_tokens.weight.copy_(donor.model.model.embed_tokens.weight @ rotation)
    model.lm_head.weight.copy_(donor.model.lm_head.weight @ rotation)
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for reading in (attention.q_proj, attention.k_proj, attention.v_proj):
            reading.weight.copy_(reading.weight @ rotation)
        for reading in (mlp.gate_proj, mlp.up_proj):
            reading.weight.copy_(reading.weight @ rotation)
        for writing in (attention.o_proj, mlp.down_proj):
            writing.weight.copy_(rotation.T @ writing.weight)
    return view_of("tiny-twin", model, donor.tokenizer)


@torch.no_grad()
def permuted_twin(donor: Backbone, order: torch.Tensor, abi_order: torch.Tensor) -> Backbone:
    """A core without modules that has the donor's function, its dimensions in another order.

    LayerNorm commutes with a permutation, so every hidden state is the donor's in `order`, every z
    the donor's in `abi_order` and every logit the same: a module's bytes alone, pasted, read the
    wrong dimensions, and a map that puts them right is known to exist.
    """
    model = copy.deepcopy(donor.model)
    for name in [*model.config.domain_modules]:
        model.remove_domain_module(name)
    core = model.model
    norms = [norm for layer in core.layers for norm in (layer.attention_norm, layer.ff_norm)]
    reading = [linear for layer in core.layers for linear in (layer.qkv, layer.ff_in)]
    writing = [linear for layer in core.layers for linear in (layer.out, layer.ff_out)]
    for module in (core.embed_tokens, *reading, core.core_to_abi):
        module.weight.copy_(module.weight[:, order].clone())
    for module in (*norms, *writing, core.abi_to_core, core.final_norm):
        for parameter in module.parameters():
            parameter.copy_(parameter[order].clone())
    for parameter in (core.core_to_abi.weight, *core.abi_norm.parameters()):
        parameter.copy_(parameter[abi_order].clone())
    core.abi_to_core.weight.copy_(core.abi_to_core.weight[:, abi_order].clone())
    return view_of("tiny-twin", model, donor.tokenizer)
