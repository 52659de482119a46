"""Entropy of distributions that are given as logarithms."""

from __future__ import annotations

import torch
from torch import Tensor


def entropy_of(log_p: Tensor) -> Tensor:
    """-sum p log p in nats [...], of log-probabilities [..., vocab]; a share of 0 adds nothing."""
    p = log_p.exp()
    return -torch.where(p > 0, p * log_p, 0.0).sum(-1)
