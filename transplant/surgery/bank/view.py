"""Views of a family's blocks in one form: separate maps, their norms, a recipe."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.parts import block_width, blocks_of
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.surgery.bank.attention import AttentionRecipe
from transplant.surgery.bank.feedforward import FeedForwardRecipe
from transplant.surgery.bank.norm import NormRecipe
from transplant.surgery.bank.tables import EmbeddingsRecipe

Map = tuple[Tensor, Tensor | None]  # weight [out, in], bias
BlockView = tuple[dict[str, Any], dict[str, Tensor]]
STATIC_ROTARY = ("default", "linear", "llama3", "yarn")  # angles that the length does not change


class View(ABC):
    """What all families share; each says where its own tensors are.

    Args:
        backbone: the donor.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.config: Any = backbone.model.config.get_text_config(decoder=True)
        self.reader: Any = backbone.reader()
        self.blocks: Any = blocks_of(backbone)
        self.width = block_width(backbone)

    @abstractmethod
    def heads(self, layer: int) -> BlockView:
        """Recipe and tensors of a block's attention."""

    @abstractmethod
    def ffn(self, layer: int) -> BlockView:
        """Recipe and tensors of a block's feed-forward part."""

    def embeddings(self) -> BlockView:
        """Recipe and tensors of the embeddings."""
        table = self.backbone.model.get_input_embeddings()
        scale = torch.as_tensor(getattr(table, "embed_scale", 1.0)).to(table.weight.dtype)
        recipe = EmbeddingsRecipe(
            vocab=table.weight.shape[0],
            table_width=table.weight.shape[1],
            width=self.width,
            scale=float(scale),
        )
        return dataclasses.asdict(recipe), {"tokens.weight": table.weight}

    def attention(
        self,
        norm: nn.Module,
        maps: Mapping[str, Map],
        head_dim: int,
        *,
        norms: Mapping[str, nn.Module] | None = None,
        more: Mapping[str, Tensor] | None = None,
        **options: Any,
    ) -> BlockView:
        """Puts an attention together from its maps, each (weight [out, in], bias)."""
        tensors, named = _tensors(norm, maps, norms)
        recipe = AttentionRecipe(
            width=self.width,
            heads=len(maps["query"][0]) // head_dim,
            kv_heads=len(maps["key"][0]) // head_dim,
            head_dim=head_dim,
            bias=maps["query"][1] is not None,
            out_bias=maps["out"][1] is not None,
            **named,
            **options,
        )
        return dataclasses.asdict(recipe), {**tensors, **(more or {})}

    def feed_forward(
        self,
        norm: nn.Module,
        maps: Mapping[str, Map],
        activation: str,
        *,
        norms: Mapping[str, nn.Module] | None = None,
        **options: Any,
    ) -> BlockView:
        """Puts a feed-forward part together from its maps, each (weight [out, in], bias)."""
        tensors, named = _tensors(norm, maps, norms)
        recipe = FeedForwardRecipe(
            width=self.width,
            inner=len(maps["up"][0]),
            activation=activation,
            gated="gate" in maps,
            bias=maps["up"][1] is not None,
            **named,
            **options,
        )
        return dataclasses.asdict(recipe), tensors

    def rotary(self, kind: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Options and frequencies of the family's rotary positions.

        Args:
            kind: of the layer, in a family whose layers differ in them.
        """
        rotary, before = self.reader.rotary_emb, "" if kind is None else f"{kind}_"
        rope_type = rotary.rope_type if kind is None else rotary.rope_type[kind]
        if rope_type not in STATIC_ROTARY:
            raise InputError(
                f"the rotary positions of {self.backbone.name} depend on the length of the text",
                expected=f"one of {', '.join(STATIC_ROTARY)}",
                found=rope_type,
            )
        frequencies = getattr(rotary, f"{before}inv_freq")
        options = {
            "rotary_dims": 2 * len(frequencies),
            "rotary_scale": float(getattr(rotary, f"{before}attention_scaling")),
        }
        return options, {"frequencies": frequencies}


def pair(linear: nn.Linear) -> Map:
    """Weight and bias."""
    return linear.weight, linear.bias


def three(weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> dict[str, Map]:
    """Queries, keys and values that were fused, each by itself."""
    names = ("query", "key", "value")
    return dict(zip(names, zip(weights, biases, strict=True), strict=True))


def _tensors(
    norm: nn.Module,
    maps: Mapping[str, Map],
    norms: Mapping[str, nn.Module] | None,
) -> tuple[dict[str, Tensor], dict[str, NormRecipe]]:
    """Named tensors of maps and norms, and the recipes of the norms."""
    tensors: dict[str, Tensor] = {}
    for name, (weight, bias) in maps.items():
        tensors[f"{name}.weight"] = weight
        if bias is not None:
            tensors[f"{name}.bias"] = bias
    recipes = {}
    for name, module in {"norm": norm, **(norms or {})}.items():
        recipe, own = _norm(module)
        recipes["norm_heads" if name in ("norm_query", "norm_key") else name] = recipe
        tensors |= {f"{name}.{key}": tensor for key, tensor in own.items()}
    return tensors, recipes


def _norm(norm: Any) -> tuple[NormRecipe, dict[str, Tensor]]:
    if isinstance(norm, nn.LayerNorm):
        recipe = NormRecipe(kind="layer", width=len(norm.weight), eps=norm.eps)
        return recipe, {"weight": norm.weight, "bias": norm.bias}
    # Gemma's RMSNorm keeps what it adds to 1, in `eps`; the others keep the weight itself.
    about_one = type(norm).__name__.startswith("Gemma")
    weight = 1.0 + norm.weight.float() if about_one else norm.weight
    eps = norm.eps if about_one else norm.variance_epsilon
    return NormRecipe(kind="rms", width=len(weight), eps=eps), {"weight": weight}
