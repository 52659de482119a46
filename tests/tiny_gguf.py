"""Tiny random Llamas as GGUF files, written with the writer of the package gguf."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from tests.tiny import CONTEXT, HEADS, LAYERS, tiny_model

NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip


def write_gguf(
    path: Path, tokenizer: PreTrainedTokenizerFast, architecture: str = "llama", **fields: Any
) -> Any:
    """Writes a tiny Llama with Q8_0 matrices; returns the model that was packed."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    model = tiny_model("llama", tokenizer, tie_word_embeddings=False)
    config, writer = model.config, GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokenizer))
    for name, value in fields.items():
        writer.add_uint32(name.replace("_", "."), value)
    _add_tokenizer(writer, tokenizer)
    for name, tensor in model.state_dict().items():
        data = tensor.numpy().astype(np.float32)
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            data = _interleaved(data, HEADS if "q_proj" in name else config.num_key_value_heads)
        if data.ndim == 1 or data.shape[-1] % 32:
            writer.add_tensor(_name(name), data)
        else:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(_name(name), quants.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _interleaved(data: np.ndarray, heads: int) -> np.ndarray:
    """The rows of a rotary projection in the order of llama.cpp."""
    rows, columns = data.shape
    return data.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(data.shape)


def _name(name: str) -> str:
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem = name.removesuffix(".weight")
    if stem in whole:
        return f"{whole[stem]}.weight"
    _, _, layer, inner = stem.split(".", 3)
    return f"blk.{layer}.{NAMES[inner]}.weight"


def _add_tokenizer(writer: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    stated = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda it: it[1])]
    merges = [m if isinstance(m, str) else " ".join(m) for m in stated["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    special = {*tokenizer.all_special_tokens}
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
