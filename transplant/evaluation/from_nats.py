"""Perplexities of losses, and their changes: inf where a float is too small, null in JSON."""

from __future__ import annotations

import math


def perplexity_of(nats: float) -> float:
    """exp of a mean loss in nats per token; inf above some 709 nats."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def change_of_perplexity(nats: float) -> float:
    """By which share a perplexity grows with so many nats per token more: exp(nats) - 1."""
    try:
        return math.expm1(nats)
    except OverflowError:
        return math.inf
