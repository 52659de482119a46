"""How each family lays out its blocks, read into one form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from transplant.surgery.bank.llama import ExpertsView, LlamaView, Phi3View
from transplant.surgery.bank.view import BlockView, View, pair, three


class GPT2View(View):
    """Fused queries, keys and values, in maps that are stored transposed."""

    def heads(self, layer: int) -> BlockView:
        """The attention of a block."""
        block = self.blocks[layer]
        fused = block.attn.c_attn
        maps = three(fused.weight.T.split(self.width), fused.bias.split(self.width))
        maps["out"] = (block.attn.c_proj.weight.T, block.attn.c_proj.bias)
        return self.attention(block.ln_1, maps, block.attn.head_dim, scale=block.attn.scaling)

    def ffn(self, layer: int) -> BlockView:
        """The feed-forward part of a block."""
        block = self.blocks[layer]
        maps = {
            "up": (block.mlp.c_fc.weight.T, block.mlp.c_fc.bias),
            "down": (block.mlp.c_proj.weight.T, block.mlp.c_proj.bias),
        }
        return self.feed_forward(block.ln_2, maps, self.config.activation_function)

    def embeddings(self) -> BlockView:
        """The embeddings."""
        recipe, tensors = super().embeddings()
        positions = self.reader.wpe.weight
        return {**recipe, "positions": len(positions)}, {
            **tensors,
            "positions.weight": positions,
        }


class GPTNeoXView(View):
    """Queries, keys and values fused head by head; both parts may read the same."""

    def heads(self, layer: int) -> BlockView:
        """The attention of a block."""
        block = self.blocks[layer]
        fused, dim = block.attention.query_key_value, block.attention.head_size
        weights = fused.weight.unflatten(0, (-1, 3, dim)).unbind(1)
        biases: list[Tensor | None] = [None] * 3
        if fused.bias is not None:
            biases = [bias.flatten() for bias in fused.bias.unflatten(0, (-1, 3, dim)).unbind(1)]
        maps = three([weight.flatten(0, 1) for weight in weights], biases)
        maps["out"] = pair(block.attention.dense)
        options, more = self.rotary()
        return self.attention(
            block.input_layernorm, maps, dim, more=more, scale=block.attention.scaling, **options
        )

    def ffn(self, layer: int) -> BlockView:
        """The feed-forward part of a block."""
        block = self.blocks[layer]
        maps = {"up": pair(block.mlp.dense_h_to_4h), "down": pair(block.mlp.dense_4h_to_h)}
        return self.feed_forward(
            block.post_attention_layernorm,
            maps,
            self.config.hidden_act,
            parallel=block.use_parallel_residual,
        )


class OPTView(View):
    """Learned positions that start at 2; norms before a part, or after the sum."""

    def heads(self, layer: int) -> BlockView:
        """The attention of a block."""
        block = self.blocks[layer]
        own = block.self_attn
        maps = {
            "query": pair(own.q_proj), "key": pair(own.k_proj), "value": pair(own.v_proj),
            "out": pair(own.out_proj),
        }  # fmt: skip
        return self.attention(
            block.self_attn_layer_norm,
            maps,
            own.head_dim,
            scale=own.scaling,
            norm_after_sum=not block.do_layer_norm_before,
        )

    def ffn(self, layer: int) -> BlockView:
        """The feed-forward part of a block."""
        block = self.blocks[layer]
        return self.feed_forward(
            block.final_layer_norm,
            {"up": pair(block.fc1), "down": pair(block.fc2)},
            self.config.activation_function,
            norm_after_sum=not block.do_layer_norm_before,
        )

    def embeddings(self) -> BlockView:
        """The embeddings."""
        recipe, tensors = super().embeddings()
        table = self.reader.embed_positions
        positions = table.weight[table.offset :]
        tensors["positions.weight"] = positions
        if self.reader.project_in is not None:
            tensors["project.weight"] = self.reader.project_in.weight
        return {**recipe, "positions": len(positions)}, tensors


class T5View(View):
    """The decoder: biases by distance, which the first block holds for all."""

    def heads(self, layer: int) -> BlockView:
        """The attention of a block."""
        inner = self.blocks[layer].layer[0]
        own = inner.SelfAttention
        maps = {
            "query": pair(own.q), "key": pair(own.k), "value": pair(own.v), "out": pair(own.o)
        }  # fmt: skip
        first = self.blocks[0].layer[0].SelfAttention
        return self.attention(
            inner.layer_norm,
            maps,
            own.key_value_proj_dim,
            more={"relative": first.relative_attention_bias.weight},
            scale=getattr(own, "scaling", 1.0),  # not named before transformers 5.15
            relative_buckets=first.relative_attention_num_buckets,
            relative_distance=first.relative_attention_max_distance,
            before_encoder=True,
        )

    def ffn(self, layer: int) -> BlockView:
        """The feed-forward part of a block."""
        inner = self.blocks[layer].layer[2]
        own = inner.DenseReluDense
        maps = {"down": pair(own.wo)}
        if self.config.is_gated_act:
            maps |= {"gate": pair(own.wi_0), "up": pair(own.wi_1)}
        else:
            maps["up"] = pair(own.wi)
        return self.feed_forward(inner.layer_norm, maps, self.config.dense_act_fn)


class LayerCakeView(View):
    """Our own cores: fused maps, rotary or learned positions."""

    def heads(self, layer: int) -> BlockView:
        """The attention of a block."""
        block = self.blocks[layer]
        maps = three(block.qkv.weight.chunk(3), block.qkv.bias.chunk(3))
        maps["out"] = pair(block.out)
        dim = self.width // block.n_heads
        options: dict[str, Any] = {}
        more: dict[str, Tensor] = {}
        if self.config.positions == "rotary":
            half = torch.arange(dim // 2, dtype=torch.float32)
            options = {"rotary_dims": dim}
            more = {"frequencies": self.config.rope_theta ** (-2 * half / dim)}
        return self.attention(
            block.attention_norm, maps, dim, more=more, scale=dim**-0.5, **options
        )

    def ffn(self, layer: int) -> BlockView:
        """The feed-forward part of a block."""
        block = self.blocks[layer]
        maps = {"up": pair(block.ff_in), "down": pair(block.ff_out)}
        return self.feed_forward(block.ff_norm, maps, "gelu_pytorch_tanh")

    def embeddings(self) -> BlockView:
        """The embeddings."""
        recipe, tensors = super().embeddings()
        if self.config.positions == "learned":
            tensors["positions.weight"] = self.reader.embed_positions.weight
            recipe["positions"] = len(tensors["positions.weight"])
        return recipe, tensors


VIEWS: dict[str, type[View]] = {
    "gpt2": GPT2View,
    "gpt_neox": GPTNeoXView,
    "opt": OPTView,
    "t5": T5View,
    "layercake": LayerCakeView,
    "phi3": Phi3View,
    **dict.fromkeys(("mixtral", "qwen3_moe"), ExpertsView),
    **dict.fromkeys(
        (
            "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "gemma3_text",
            "smollm3",
        ),
        LlamaView,
    ),
}  # fmt: skip
