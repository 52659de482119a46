"""Untrained modules: what a control puts in the donor's place."""

from __future__ import annotations

import torch

from transplant.modules.domain import DomainModule

RANDOM_SEED_OFFSET = 7_001  # the random module must not be the untrained donor of the same seed


def random_module(like: DomainModule, seed: int) -> DomainModule:
    """An untrained module of the same shape."""
    generator = torch.Generator().manual_seed(seed + RANDOM_SEED_OFFSET)
    return like.untrained(generator).requires_grad_(False).eval()
