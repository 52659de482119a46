"""The byte-prefix push-forward of a distribution over one vocabulary to another.

Every token of the donor counts for the longest token of the target that its bytes begin with, and
for a remainder where there is none: M is a sparse matrix of zeros and ones with one 1 in each
column, so that M p has the mass of p. (Byte-prefix marginalisation, arXiv 2607.22334.)
"""

from __future__ import annotations

import torch
from torch import Tensor


def push_matrix(images: Tensor, vocab: int) -> Tensor:
    """M [vocab + 1, vocab_donor], sparse; its last row is the remainder.

    Args:
        images: the target's token of each of the donor's, -1 for none [vocab_donor].
        vocab: of the target.
    """
    rows = torch.where(images >= 0, images, vocab)
    places = torch.stack([rows, torch.arange(len(rows), device=rows.device)])
    ones = torch.ones(len(rows), dtype=torch.float64, device=rows.device)
    return torch.sparse_coo_tensor(places, ones, (vocab + 1, len(rows)), check_invariants=True)


def push_forward(probabilities: Tensor, images: Tensor, vocab: int) -> Tensor:
    """M p of each row, [rows, vocab + 1], without M: a sum by index.

    Args:
        probabilities: over the donor's tokens [rows, vocab_donor].
        images: the target's token of each of the donor's, -1 for none [vocab_donor].
        vocab: of the target.
    """
    pushed = probabilities.new_zeros(len(probabilities), vocab + 1)
    return pushed.index_add_(1, torch.where(images >= 0, images, vocab), probabilities)


def class_sums(classes: Tensor, parts: Tensor, wanted: Tensor) -> Tensor:
    """Of each row, the sum of the parts that are of each wanted class [..., rows, wanted].

    Args:
        classes: of the parts [rows, parts].
        parts: what is summed [..., rows, parts].
        wanted: classes to sum up, of which some may be the same [rows, wanted].
    """
    both = torch.cat([classes, wanted], dim=1)
    order = both.sort(dim=1, stable=True)
    starts = torch.ones_like(order.values, dtype=torch.bool)
    starts[:, 1:] = order.values[:, 1:] != order.values[:, :-1]
    places = torch.empty_like(both).scatter_(1, order.indices, starts.cumsum(1) - 1)
    of_parts, of_wanted = places.split([classes.shape[1], wanted.shape[1]], dim=1)
    sums = parts.new_zeros(*parts.shape[:-1], both.shape[1])
    sums.scatter_add_(-1, of_parts.expand_as(parts), parts)
    return sums.gather(-1, of_wanted.expand(*parts.shape[:-1], -1))


def firsts(tokens: Tensor) -> Tensor:
    """Whether a token of a row stands there for the first time [rows, tokens]."""
    order = tokens.sort(dim=1, stable=True)
    starts = torch.ones_like(tokens, dtype=torch.bool)
    starts[:, 1:] = order.values[:, 1:] != order.values[:, :-1]
    return torch.empty_like(starts).scatter_(1, order.indices, starts)
