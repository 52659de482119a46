"""Correction of a hosted model: interface, domain module and gate, as they are stored.

    t = the taps, layer-normed where there are norms, side by side
    z = LN(t P_in)
    y = the domain module's output
    c = y P_out, where the gate is open; it is added to the last hidden state

or, of a linear map, c = t W + b, with t through the bases of the taps where there are some.

This file needs torch and `transformers` alone: it may stand beside the weights that it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.cache_utils import DynamicLayer

SPAN = 256  # positions whose evidence is summed at once


class Interface(nn.Module):
    """The way from the taps to z [..., d_abi], and from y to the last hidden state."""

    def __init__(
        self, *, d_model: int, d_abi: int, taps: list[int], tap_norms: bool, **_: Any
    ) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.tap_norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in taps if tap_norms)
        self.proj_in = nn.Linear(len(taps) * d_model, d_abi)
        self.abi_norm = nn.LayerNorm(d_abi)
        self.proj_out = nn.Linear(d_abi, d_model)
        nn.init.zeros_(self.proj_out.weight)  # as new, it leaves the backbone as it is
        nn.init.zeros_(self.proj_out.bias)

    def read_in(self, taps: Mapping[int, Tensor]) -> Tensor:
        """z [..., d_abi] of hidden states [..., d_model] by tap."""
        own = self.proj_in.weight.dtype
        states = [taps[tap].to(own) for tap in self.taps]
        for number, norm in enumerate(self.tap_norms):
            states[number] = norm(states[number])
        return self.abi_norm(self.proj_in(torch.cat(states, dim=-1)))


class LinearMap(nn.Module):
    """c [..., d_model], an affine map of the taps, or of some columns of each."""

    def __init__(
        self, *, d_model: int, taps: list[int], tap_norms: bool, columns: list[int], **_: Any
    ) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.tap_norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in taps if tap_norms)
        self.bases = nn.ParameterList(torch.zeros(d_model, width) for width in columns)
        self.proj_out = nn.Linear(sum(columns) if columns else len(taps) * d_model, d_model)
        nn.init.zeros_(self.proj_out.weight)  # as new, it leaves the backbone as it is
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, taps: Mapping[int, Tensor]) -> Tensor:
        """c of hidden states [..., d_model] by tap."""
        states = [taps[tap].to(self.proj_out.weight.dtype) for tap in self.taps]
        for number, norm in enumerate(self.tap_norms):
            states[number] = norm(states[number])
        for number, basis in enumerate(self.bases):
            states[number] = states[number] @ basis
        return self.proj_out(torch.cat(states, dim=-1))


class MlpModule(nn.Module):
    """y = z + alpha * LN(W2 gelu(W1 z + b1) + b2)."""

    def __init__(self, d_abi: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(d_abi, 4 * d_abi)
        self.w2 = nn.Linear(4 * d_abi, d_abi)
        self.norm = nn.LayerNorm(d_abi)
        self.alpha = nn.Parameter(torch.full((), 2.0))

    def forward(self, z: Tensor) -> Tensor:
        """y [..., d_abi] of z [..., d_abi]."""
        return z + self.alpha * self.norm(self.w2(functional.gelu(self.w1(z))))


class LiteModule(nn.Module):
    """y = exp(a) * down(silu(gate(n)) * up(n)), n = LN(z)."""

    def __init__(self, d_abi: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(()))
        self.norm = nn.LayerNorm(d_abi)
        self.gate = nn.Linear(d_abi, 2 * d_abi)
        self.up = nn.Linear(d_abi, 2 * d_abi)
        self.down = nn.Linear(2 * d_abi, d_abi)

    def forward(self, z: Tensor) -> Tensor:
        """y [..., d_abi] of z [..., d_abi]."""
        normed = self.norm(z)
        return torch.exp(self.a) * self.down(functional.silu(self.gate(normed)) * self.up(normed))


FORMS: dict[str, type[nn.Module]] = {"mlp": MlpModule, "lite": LiteModule}


class Gate(nn.Module):
    """Open where e_t > 0: e_t = sum over r <= t of memory^(t - r) * (z_r w + b)."""

    def __init__(self, d_abi: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(d_abi), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.memory: Tensor
        self.register_buffer("memory", torch.zeros(()))

    def evidence(self, z: Tensor, mask: Any, cache: Any) -> Tensor:
        """e [batch, seq] of z [batch, seq, d_abi]; padding is none, the cache keeps what was.

        Args:
            z: of the new positions.
            mask: the attention mask [batch, all positions], or None.
            cache: what the pass filled, or None.
        """
        scores = z @ self.weight + self.bias
        if mask is not None:
            if mask.ndim != 2:
                raise ValueError(
                    "a module behind a gate takes an attention mask [batch, seq]: "
                    "use the default cache, which grows"
                )
            scores = scores * mask[:, -scores.shape[1] :].to(scores.dtype)
        layer = None if cache is None else _own_layer(cache)
        evidence = self._summed(scores, None if layer is None else layer.last())
        if layer is not None:
            kept = evidence[:, None, :, None]
            layer.update(kept, kept)
        return evidence

    def _summed(self, scores: Tensor, before: Tensor | None) -> Tensor:
        steps = torch.arange(min(SPAN, scores.shape[1]), device=scores.device)
        weights = (self.memory ** (steps[:, None] - steps).clamp_min(0)).tril()
        carried = scores.new_zeros(len(scores)) if before is None else before
        parts = []
        for part in scores.split(SPAN, dim=1):
            seq = part.shape[1]
            later = self.memory ** (steps[:seq] + 1)
            parts.append(part @ weights[:seq, :seq].T + carried[:, None] * later)
            carried = parts[-1][:, -1]
        return torch.cat(parts, dim=1)


class EvidenceLayer(DynamicLayer):
    """The evidence of the positions read so far, as keys [batch, 1, seq, 1] of a cache."""

    def last(self) -> Tensor | None:
        """The evidence [batch] at the last position; None before the first."""
        if self.keys is None or not self.get_seq_length():
            return None
        return self.keys[:, 0, -1, 0]


def _own_layer(cache: Any) -> EvidenceLayer:
    """The layer of a cache that is the gate's, behind the backbone's own."""
    cache = getattr(cache, "self_attention_cache", cache)
    for layer in cache.layers:
        if isinstance(layer, EvidenceLayer):
            return layer
    cache.layers.append(EvidenceLayer())
    return cache.layers[-1]
