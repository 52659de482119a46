"""Lacking: push-forward, that raises a token no further than the donor itself has it.

Part of what a donor learned mends the donor: where the target has a token already, it need not be
raised again. A raise r(u) > 0 is cut to max(0, log (M p1)(u) - log q(u)), which is 0 where the
target gives the token more than the donor does after all that it learned: what is left is added
where p0 and q are both low. What falls, falls as far as by push-forward.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.alignment.likely import LikelyRows, Vocabularies
from transplant.alignment.token_ways import TokenWays
from transplant.calibration.changes.push_forward import (
    change_of,
    log_ratio,
    masses_of_all,
    masses_of_likely,
)
from transplant.calibration.changes.way import AskedTokens, ChangeWeights, DonorLogits, Masses


def of_all(
    donor: DonorLogits, logits: Tensor, ways: TokenWays, weights: ChangeWeights
) -> Tensor:  # fmt: skip
    """The change at all tokens, see `way.OfAll`."""
    return of_masses(masses_of_all(donor, logits, ways), weights)


def of_likely(
    rows: LikelyRows,
    correction: Tensor,
    asked: AskedTokens,
    between: Vocabularies,
    weights: ChangeWeights,
) -> tuple[Tensor, Tensor]:
    """The change at some tokens of each row, see `way.OfLikely`."""
    change = of_masses(masses_of_likely(rows, correction, asked, between), weights)
    return change, torch.ones_like(asked.tokens, dtype=torch.bool)


def of_masses(masses: Masses, weights: ChangeWeights) -> Tensor:
    """The change of push-forward, cut where the target has a token already."""
    change = change_of(masses, weights)
    lacks = log_ratio(masses.theirs, masses.classes[1]).clamp_min(0)
    return torch.minimum(change, torch.where(change > 0, lacks, change))
