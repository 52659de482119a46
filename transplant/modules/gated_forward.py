"""A gate inside a pass of the backbone: padding is no evidence, and the cache keeps what was.

The evidence of every position is a layer of the backbone's own key-value cache, behind its others:
whatever reorders, repeats or crops that cache does the same to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer

from transplant.errors import InputError
from transplant.modules.gate import Gated


class EvidenceLayer(DynamicLayer):
    """The evidence of the positions read so far, as keys [batch, 1, seq, 1]."""

    def last(self) -> Tensor | None:
        """The evidence [batch] at the last position; None before the first."""
        if self.keys is None or not self.get_seq_length():
            return None
        return self.keys[:, 0, -1, 0]


def gated_correction(
    gated: Gated, taps: Mapping[int, Tensor], asked: Mapping[str, Any], cache: Any, gates: int = 0
) -> Tensor:
    """The correction [batch, seq, d_model] of one pass.

    Args:
        gated: interface, module and gate.
        taps: hidden states [batch, seq, d_model] of the new positions.
        asked: what the pass was called with.
        cache: what the pass filled, or None.
        gates: how many other gates keep their evidence in that cache before this one.
    """
    scores = gated.scores(taps)
    scores = scores * _real(asked.get("attention_mask"), scores.shape[1])
    layer = None if cache is None else _layer(cache, gates)
    evidence = gated.gate.evidence(scores, None if layer is None else layer.last())
    if layer is not None:
        kept = evidence[:, None, :, None]
        layer.update(kept, kept)
    return gated.at_work(gated.correction(taps), evidence)


def _real(mask: Any, new: int) -> Tensor | float:
    """1 where a new position is text and 0 where it is padding [batch, seq].

    Raises:
        InputError: a mask that does not say what is padding.
    """
    if mask is None:
        return 1.0
    if not (isinstance(mask, Tensor) and mask.ndim == 2):
        raise InputError(
            "a module behind a gate takes a mask [batch, seq]",
            found=list(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__,
            hint="the default cache, which grows",
        )
    return mask[:, -new:].to(torch.float32)


def _layer(cache: Any, gates: int) -> EvidenceLayer:
    """The layer of a cache that is the gate's; added where it is not there yet.

    Args:
        cache: what the pass filled.
        gates: how many layers of other gates come before it.
    """
    own = cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
    if not isinstance(own, Cache):
        raise InputError(
            "a module behind a gate needs a cache of layers", found=type(own).__name__,
            hint="use_cache=False",
        )  # fmt: skip
    kept = [layer for layer in own.layers if isinstance(layer, EvidenceLayer)]
    if len(kept) <= gates:
        kept.append(EvidenceLayer())
        own.layers.append(kept[-1])
    return kept[gates]
