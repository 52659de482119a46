"""How Llama and the families that descend from it lay out their blocks, read into one form."""

from __future__ import annotations

from typing import Any

from transplant.errors import InputError
from transplant.surgery.bank.view import BlockView, Map, View, pair, three

WINDOWED = ("mistral", "mixtral", "phi3")  # whose blocks all read the last positions alone


class LlamaView(View):
    """Llama, Mistral, Qwen, Gemma, SmolLM: grouped queries, a gated feed-forward part, RMSNorm."""

    def heads(self, layer: int) -> BlockView:
        """The attention of a block."""
        block = self.blocks[layer]
        own = block.self_attn
        options, more = self.rotary(own.layer_type if self._gemma3 else None)
        if not getattr(own, "use_rope", True):  # as in one of four layers of SmolLM 3
            options, more = {}, {}
        norms = {"norm_out": block.post_attention_layernorm} if self._norms_out else {}
        if hasattr(own, "q_norm"):
            norms |= {"norm_query": own.q_norm, "norm_key": own.k_norm}
        everywhere = self.config.sliding_window if self.backbone.family in WINDOWED else None
        return self.attention(
            block.input_layernorm,
            self.maps(own),
            own.head_dim,
            norms=norms,
            more=more,
            scale=own.scaling,
            window=getattr(own, "sliding_window", everywhere),
            softcap=getattr(own, "attn_logit_softcapping", None),
            **options,
        )

    def maps(self, own: Any) -> dict[str, Map]:
        """The maps of an attention."""
        return {
            "query": pair(own.q_proj), "key": pair(own.k_proj), "value": pair(own.v_proj),
            "out": pair(own.o_proj),
        }  # fmt: skip

    def inner(self, mlp: Any) -> dict[str, Map]:
        """The maps of a feed-forward part."""
        return {
            "up": pair(mlp.up_proj), "gate": pair(mlp.gate_proj), "down": pair(mlp.down_proj)
        }  # fmt: skip

    def ffn(self, layer: int) -> BlockView:
        """The feed-forward part of a block."""
        block = self.blocks[layer]
        maps = self.inner(block.mlp)
        named = getattr(self.config, "hidden_activation", None) or self.config.hidden_act
        if self._norms_out:
            norms = {"norm_out": block.post_feedforward_layernorm}
            return self.feed_forward(block.pre_feedforward_layernorm, maps, named, norms=norms)
        return self.feed_forward(block.post_attention_layernorm, maps, named)

    @property
    def _norms_out(self) -> bool:
        return self._gemma3 or self.backbone.family == "gemma2"

    @property
    def _gemma3(self) -> bool:
        return self.backbone.family in ("gemma3", "gemma3_text")


class Phi3View(LlamaView):
    """As Llama, with fused maps."""

    def maps(self, own: Any) -> dict[str, Map]:
        """The maps of an attention."""
        widths = [n * own.head_dim for n in self._heads()]
        maps = three(own.qkv_proj.weight.split(widths), [None] * 3)
        return {**maps, "out": pair(own.o_proj)}

    def inner(self, mlp: Any) -> dict[str, Map]:
        """The maps of a feed-forward part."""
        gate, up = mlp.gate_up_proj.weight.chunk(2)
        return {"up": (up, None), "gate": (gate, None), "down": pair(mlp.down_proj)}

    def _heads(self) -> tuple[int, int, int]:
        shared = self.config.num_key_value_heads
        return self.config.num_attention_heads, shared, shared


class ExpertsView(LlamaView):
    """The attention of a mixture of experts; its experts are no piece."""

    def inner(self, mlp: Any) -> dict[str, Map]:
        """The maps of a feed-forward part that is one.

        Raises:
            InputError: experts, among which a router chooses for each token.
        """
        if hasattr(mlp, "experts"):
            raise InputError(
                f"the feed-forward parts of {self.backbone.name} are mixtures of experts",
                expected="one feed-forward part a block", found=self.backbone.family,
                hint="`extract(components='embeddings,heads,lm_head')`",
            )  # fmt: skip
        return super().inner(mlp)
