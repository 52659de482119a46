"""The loss of a head that learns, without the logits of all rows at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


def loss_of_blocks(
    head: Callable[[Tensor], Tensor], hidden: Tensor, labels: Tensor, size: int
) -> Tensor:
    """Mean next-token loss in nats; logits are computed twice, and none are kept between.

    Args:
        head: logits [rows, vocab] of hidden states.
        hidden: [rows, d_model].
        labels: [rows].
        size: rows whose logits are had at a time.
    """

    def of_block(rows: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(head(rows).float(), label, reduction="sum")

    parts = [
        cast("Tensor", checkpoint(of_block, rows, label, use_reentrant=False))
        for rows, label in zip(hidden.split(size), labels.split(size), strict=True)
    ]
    return torch.stack(parts).sum() / len(hidden)
