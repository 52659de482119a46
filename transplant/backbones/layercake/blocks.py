"""The transformer block of cores and of `full` domain modules, and what a pass may read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.errors import InputError

if TYPE_CHECKING:
    from transformers import DynamicCache

Angles = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Span:
    """The positions of one forward pass, and which keys each of them reads."""

    positions: Tensor  # [batch or 1, seq]
    length: int  # keys in all: those in the cache and those of this pass
    mask: Tensor | None  # [batch or 1, 1, seq, length], True where read; None: all up to oneself
    cache: DynamicCache | None

    @property
    def is_causal(self) -> bool:
        """Whether the attention kernel has to hide the future itself."""
        return self.mask is None and self.positions.shape[1] == self.length


def make_span(
    seq: int,
    device: torch.device,
    *,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    cache: DynamicCache | None = None,
) -> Span:
    """The span of the next `seq` tokens after those in the cache.

    Args:
        seq: tokens of this pass.
        device: where they are.
        attention_mask: [batch, cached + seq], 0 at padding, on either side.
        position_ids: [batch, seq]; counted from the first real token where not given.
        cache: the keys and values of earlier tokens.

    Raises:
        InputError: the mask does not cover the cached tokens and these.
    """
    past = cache.get_seq_length() if cache is not None else 0
    length = past + seq
    if attention_mask is not None and attention_mask.shape[1:] != (length,):
        raise InputError(
            "the attention mask has the wrong shape",
            expected=f"[batch, {length}] ({past} cached tokens and {seq} new)",
            found=list(attention_mask.shape),
        )
    padded = attention_mask is not None and not bool(attention_mask.all())
    if position_ids is not None:
        positions = position_ids
    elif attention_mask is not None and padded:
        positions = (attention_mask.long().cumsum(-1) - 1).clamp_min(0)[:, past:]
    else:
        positions = torch.arange(past, length, device=device)[None]
    mask = None
    if padded or (past and seq > 1):
        mask = _mask(past, length, device, attention_mask if padded else None)
    return Span(positions, length, mask, cache)


def _mask(past: int, length: int, device: torch.device, real: Tensor | None) -> Tensor:
    """The keys that each query reads: [batch or 1, 1, seq, length]."""
    keys = torch.arange(length, device=device)
    queries = keys[past:, None]
    allowed = (keys <= queries)[None, None]
    if real is None:
        return allowed
    # Padding reads itself: a row without any key would be nan.
    return allowed & (real.bool()[:, None, None, :] | (keys == queries))


def rotary_angles(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> Angles:
    """Cosines and sines [batch, 1, seq, head_dim / 2] (Su et al., arXiv:2104.09864)."""
    half = torch.arange(head_dim // 2, device=positions.device, dtype=torch.float32)
    frequencies = theta ** (-2 * half / head_dim)
    angles = positions[:, None, :, None].float() * frequencies
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, angles: Angles) -> Tensor:
    """Turns each pair (i, i + head_dim / 2) of [batch, heads, seq, head_dim] by its angle."""
    cos, sin = angles
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class ResidualLinear(nn.Linear):
    """A map that writes into the residual stream: it starts smaller, the more of them there are."""


class Block(nn.Module):
    """A causal pre-norm transformer block: 12 tensors.

    Args:
        width: of the hidden states.
        n_heads: attention heads.
        d_ff: width inside the feed-forward part.
        eps: of the LayerNorms.
    """

    def __init__(self, width: int, n_heads: int, d_ff: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = ResidualLinear(width, width)
        self.ff_norm = nn.LayerNorm(width, eps=eps)
        self.ff_in = nn.Linear(width, d_ff)
        self.ff_out = ResidualLinear(d_ff, width)

    @property
    def last_projections(self) -> tuple[nn.Linear, nn.Linear]:
        """The projections that write into the residual stream."""
        return self.out, self.ff_out

    def forward(self, x: Tensor, span: Span, angles: Angles | None, layer: int) -> Tensor:
        """Hidden states [batch, seq, width] to the same shape.

        Args:
            x: the residual stream.
            span: what each position reads.
            angles: of rotary positions; None where positions are in `x` already.
            layer: this block's index in the cache.
        """
        x = x + self._attend(self.attention_norm(x), span, angles, layer)
        inner = functional.gelu(self.ff_in(self.ff_norm(x)), approximate="tanh")
        return x + self.ff_out(inner)

    def _attend(self, x: Tensor, span: Span, angles: Angles | None, layer: int) -> Tensor:
        batch, seq, width = x.shape
        # [batch, seq, 3 * width] -> 3 of [batch, heads, seq, head_dim]
        qkv = self.qkv(x).view(batch, seq, 3, self.n_heads, width // self.n_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if angles is not None:
            query, key = rotate(query, angles), rotate(key, angles)
        if span.cache is not None:
            key, value = span.cache.update(key, value, layer)
        if key.shape[2] != span.length:
            raise InputError(
                f"layer {layer} has not read all of the text so far",
                expected=f"keys of {span.length} tokens",
                found=key.shape[2],
                hint="start a new cache after a domain module was switched on",
            )
        read = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=span.mask, is_causal=span.is_causal
        )
        return self.out(read.transpose(1, 2).reshape(batch, seq, width))
