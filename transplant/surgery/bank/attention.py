"""The attention heads of a block, with positions, mask and norms: fused or not, grouped or not."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.backbones.layercake.blocks import Span, rotate
from transplant.errors import InputError
from transplant.surgery.bank.norm import Norm, NormRecipe


@dataclass(frozen=True, kw_only=True)
class AttentionRecipe:
    """What the heads of a block are, but for their tensors."""

    width: int
    """Of the residual stream."""
    heads: int
    """Of queries."""
    kv_heads: int
    """Of keys and values; fewer where queries share them."""
    head_dim: int
    """Of each head."""
    scale: float
    """What scores are multiplied with."""
    bias: bool
    """Whether queries, keys and values have biases."""
    out_bias: bool
    """Whether the map back has one."""
    norm: NormRecipe
    """The norm before, or after the sum."""
    norm_after_sum: bool = False
    """Whether `norm` comes after x was added, as in OPT-350m."""
    norm_out: NormRecipe | None = None
    """A norm of what is added, as in Gemma 2."""
    norm_heads: NormRecipe | None = None
    """A norm of each query and key, as in Qwen 3."""
    rotary_dims: int = 0
    """Leading dimensions of a head that are turned by position."""
    rotary_scale: float = 1.0
    """What sines and cosines are multiplied with."""
    window: int | None = None
    """Positions that are read, oneself included; None for all."""
    softcap: float | None = None
    """The bound on scores, as in Gemma 2."""
    relative_buckets: int = 0
    """Entries of a table of biases by distance, as in T5."""
    relative_distance: int = 0
    """The distance from which on all are one to that table."""
    before_encoder: bool = False
    """Whether its block goes on to attend to an encoder, and so is no layer by itself."""


class Attention(nn.Module):
    """What the heads of a block add to the residual stream x [batch, seq, width]; causal."""

    sequential = True

    def __init__(self, recipe: AttentionRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        inner, kv_inner = recipe.heads * recipe.head_dim, recipe.kv_heads * recipe.head_dim
        self.norm = Norm(recipe.norm)
        self.query = nn.Linear(recipe.width, inner, bias=recipe.bias)
        self.key = nn.Linear(recipe.width, kv_inner, bias=recipe.bias)
        self.value = nn.Linear(recipe.width, kv_inner, bias=recipe.bias)
        self.out = nn.Linear(inner, recipe.width, bias=recipe.out_bias)
        if recipe.norm_out is not None:
            self.norm_out = Norm(recipe.norm_out)
        if recipe.norm_heads is not None:
            self.norm_query, self.norm_key = Norm(recipe.norm_heads), Norm(recipe.norm_heads)
        if recipe.rotary_dims:
            self.frequencies = nn.Buffer(torch.zeros(recipe.rotary_dims // 2))
        if recipe.relative_buckets:
            table = torch.zeros(recipe.relative_buckets, recipe.heads)
            self.relative = nn.Parameter(table)

    @property
    def width(self) -> int:
        """Of the residual stream."""
        return self.recipe.width

    def forward(self, x: Tensor, span: Span, layer: int = 0) -> Tensor:
        """What it adds to x [batch, seq, width]: the same shape.

        Args:
            x: the residual stream.
            span: positions, padding and cache (`make_span`).
            layer: of its own in that cache.
        """
        recipe = self.recipe
        h = x if recipe.norm_after_sum else self.norm(x)
        query, key = self._heads(self.query(h)), self._heads(self.key(h))
        value = self._heads(self.value(h))  # [batch, kv_heads, seq, head_dim]
        if recipe.norm_heads is not None:
            query, key = self.norm_query(query), self.norm_key(key)
        if recipe.rotary_dims:
            query, key = self._turn(query, span), self._turn(key, span)
        if span.cache is not None:
            key, value = span.cache.update(key, value, layer)
        if key.shape[2] != span.length:
            raise InputError(
                "the heads have not read all of the text so far",
                expected=f"keys of {span.length} tokens",
                found=key.shape[2],
                hint="start a new cache after a piece was injected",
            )
        read = self._read(query, key, value, span)
        added = self.out(read.transpose(1, 2).flatten(2))
        if recipe.norm_out is not None:
            added = self.norm_out(added)
        return self.norm(x + added) - x if recipe.norm_after_sum else added

    def weights(self, x: Tensor, span: Span) -> Tensor:
        """Which keys each position reads, and how much: [batch, heads, seq, seq], rows sum to 1.

        Args:
            x: the residual stream [batch, seq, width].
            span: positions and padding of a text without a cache.
        """
        recipe = self.recipe
        h = x if recipe.norm_after_sum else self.norm(x)
        query, key = self._heads(self.query(h)), self._heads(self.key(h))
        if recipe.norm_heads is not None:
            query, key = self.norm_query(query), self.norm_key(key)
        if recipe.rotary_dims:
            query, key = self._turn(query, span), self._turn(key, span)
        key = key.repeat_interleave(recipe.heads // recipe.kv_heads, 1)
        return self._softmax(query, key, self._mask(query, span))

    @torch.no_grad()
    def head(self, number: int) -> Attention:
        """One head as a part of its own; the heads' sum and the bias of the map back are the whole.

        Raises:
            InputError: no such head, or one that is not a term of a sum.
        """
        recipe = self.recipe
        if not 0 <= number < recipe.heads:
            raise InputError("no such head", expected=f"0 to {recipe.heads - 1}", found=number)
        if recipe.norm_out is not None or recipe.norm_after_sum:
            raise InputError("heads whose sum is normed cannot be parted", hint="all heads of it")
        single = dataclasses.replace(recipe, heads=1, kv_heads=1, out_bias=False)
        tensors = self.state_dict()
        dim, group = recipe.head_dim, number // (recipe.heads // recipe.kv_heads)
        for name, place in (("query", number), ("key", group), ("value", group)):
            for kind in ("weight", "bias")[: 1 + recipe.bias]:
                rows = tensors[f"{name}.{kind}"]
                tensors[f"{name}.{kind}"] = rows[place * dim : (place + 1) * dim]
        tensors["out.weight"] = tensors["out.weight"][:, number * dim : (number + 1) * dim]
        tensors.pop("out.bias", None)
        if recipe.relative_buckets:
            tensors["relative"] = tensors["relative"][:, number : number + 1]
        made = Attention(single)
        made.load_state_dict(tensors)
        return made.to(self.out.weight).eval()

    def _heads(self, h: Tensor) -> Tensor:
        """[batch, seq, heads * head_dim] to [batch, heads, seq, head_dim]."""
        return h.unflatten(-1, (-1, self.recipe.head_dim)).transpose(1, 2)

    def _turn(self, h: Tensor, span: Span) -> Tensor:
        dims, scale = self.recipe.rotary_dims, self.recipe.rotary_scale
        angles = span.positions[:, None, :, None].float() * self.frequencies.float()
        turned = rotate(
            h[..., :dims], ((angles.cos() * scale).to(h.dtype), (angles.sin() * scale).to(h.dtype))
        )
        return torch.cat([turned, h[..., dims:]], dim=-1)

    def _read(self, query: Tensor, key: Tensor, value: Tensor, span: Span) -> Tensor:
        """Softmax over the keys that each position may read: [batch, heads, seq, head_dim]."""
        recipe = self.recipe
        groups = recipe.heads // recipe.kv_heads
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        mask = self._mask(query, span)
        if recipe.softcap is None:
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, scale=recipe.scale
            )
        return self._softmax(query, key, mask) @ value

    def _mask(self, query: Tensor, span: Span) -> Tensor:
        """What is added to the scores of each query and key: [..., seq, length]."""
        recipe = self.recipe
        keys = torch.arange(span.length, device=query.device)
        distance = keys[span.length - query.shape[2] :, None] - keys  # [seq, length]
        allowed = (distance >= 0) if span.mask is None else span.mask
        if recipe.window is not None:
            allowed = allowed & (distance < recipe.window)
        bias = torch.zeros((), dtype=query.dtype, device=query.device)
        if recipe.relative_buckets:
            bias = self.relative[self._buckets(distance)].permute(2, 0, 1)  # [heads, seq, length]
        return torch.where(allowed, bias, -math.inf).to(query.dtype)

    def _softmax(self, query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
        """The weights [batch, heads, seq, length] of queries and keys of as many heads."""
        recipe = self.recipe
        scores = query @ key.transpose(2, 3) * recipe.scale
        if recipe.softcap is not None:
            scores = torch.tanh(scores / recipe.softcap) * recipe.softcap
        return (scores + mask).float().softmax(-1).to(query.dtype)

    def _buckets(self, distance: Tensor) -> Tensor:
        """T5's buckets of distances (Raffel et al., arXiv:1910.10683): half exact, half by log."""
        buckets, far = self.recipe.relative_buckets, self.recipe.relative_distance
        distance = distance.clamp_min(0)
        exact = buckets // 2
        ratio = (distance.clamp_min(1).float() / exact).log() / math.log(far / exact)
        coarse = exact + (ratio * (buckets - exact)).long()
        return torch.where(distance < exact, distance, coarse.clamp_max(buckets - 1))
