"""Losses of next tokens through any head: in pieces where it is large and can be split."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from transplant.backbones.split_head import ROWS, TOKENS, LogSum, SplitHead
from transplant.backbones.view import Backbone

LOGITS = 1 << 24  # of a block of rows at the whole vocabulary: 64 MB in single precision


@torch.no_grad()
def token_losses(backbone: Backbone, hidden: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy of each row's next token, in nats [rows] and single precision.

    Args:
        backbone: whose head it is.
        hidden: last hidden states [rows, d_model].
        labels: the next tokens [rows].
    """
    head = backbone.split_head
    if head is None or head.vocab <= TOKENS:
        parts = zip(*(side.split(rows_at_once(backbone)) for side in (hidden, labels)), strict=True)
        return torch.cat(
            [
                functional.cross_entropy(backbone.head(h).float(), label, reduction="none")
                for h, label in parts
            ]
        )
    return torch.cat(
        [
            _losses_of_block(head, rows, label)
            for rows, label in zip(hidden.split(ROWS), labels.split(ROWS), strict=True)
        ]
    )


def _losses_of_block(head: SplitHead, hidden: Tensor, labels: Tensor) -> Tensor:
    sums = LogSum(labels)
    for tokens in head.pieces():
        sums.add(head.logits(hidden, tokens), tokens)
    return sums.losses


def rows_at_once(backbone: Backbone, copies: int = 1) -> int:
    """How many rows may have logits at the whole vocabulary at a time.

    Args:
        backbone: whose head it is.
        copies: how many tensors of that size are in use together.
    """
    return max(1, min(ROWS, LOGITS // (copies * backbone.vocab_size)))
