"""How different tasks are: by the words of their texts, and by what their modules correct."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from transplant.backbones.view import Backbone
from transplant.modules.correction import Correction
from transplant.text.windows import Window, batches


def unigram_divergence(a: Mapping[int, int], b: Mapping[int, int]) -> float:
    """The Jensen-Shannon divergence, in nats, of two counts of tokens: 0 to log 2."""
    tokens = sorted(a.keys() | b.keys())
    p, q = (
        torch.tensor([counts.get(token, 0) for token in tokens], dtype=torch.float64)
        for counts in (a, b)
    )
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float((_entropy(middle) - (_entropy(p) + _entropy(q)) / 2).clamp_min(0.0))


def _entropy(p: torch.Tensor) -> torch.Tensor:
    return torch.special.entr(p).sum()


@torch.no_grad()
def correction_cosine(
    backbone: Backbone, one: Correction, other: Correction, windows: Sequence[Window]
) -> float:
    """The mean cosine of two modules' corrections of one backbone at the same positions."""
    taps = sorted({*one.taps, *other.taps})
    found = []
    for batch in batches(windows):
        states = backbone.read([windows[index] for index in batch], taps)
        a, b = (correction(states.taps, states.windows) for correction in (one, other))
        found.append(torch.cosine_similarity(a.float(), b.float(), dim=-1))
    return float(torch.cat(found).mean())
