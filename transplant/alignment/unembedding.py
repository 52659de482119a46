"""The output map: carrying a change of logits from one head to another."""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.alignment.tokens import SharedTokens
from transplant.errors import NumericalError

STRENGTH = 1e-3


def fit_output_map(
    donor_head: Tensor, target_head: Tensor, shared: SharedTokens, strength: float = STRENGTH
) -> Tensor:
    """M [d_donor, d_target] such that U_target (c M)' ~ U_donor c' on shared tokens.

    Least squares over tokens, each weighted by its frequency; both matrices are centred by the
    same weights, since a shift of all logits changes no probability.

    Args:
        donor_head: U_donor [vocab_donor, d_donor].
        target_head: U_target [vocab_target, d_target].
        shared: the token pairs and their weights.
        strength: ridge, relative to the mean diagonal.

    Raises:
        NumericalError: of the tokens that were counted fewer than two are shared.
    """
    counted = int((shared.weights > 0).sum())
    if counted < 2:
        raise NumericalError("the two vocabularies share too few tokens", found=counted)
    u_d = _centred(donor_head[shared.ids_a].cpu().double(), shared.weights)
    u_t = _centred(target_head[shared.ids_b].cpu().double(), shared.weights)
    weighted = u_t * shared.weights[:, None]
    gram = weighted.T @ u_t  # [d_target, d_target]
    ridge = strength * gram.diagonal().mean()
    system = gram + ridge * torch.eye(len(gram), dtype=torch.float64)
    return torch.linalg.solve(system, weighted.T @ u_d).T.float()


def _centred(rows: Tensor, weights: Tensor) -> Tensor:
    return rows - weights @ rows
