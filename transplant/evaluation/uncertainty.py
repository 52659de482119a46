"""Uncertainty of next-token predictions: entropies, and what members disagree on.

With p the model's own distribution and p_k those of members (dropout masks, perturbed weights,
other modules), m their mean:

    predictive entropy   H(m)
    mutual information   H(m) - mean_k H(p_k)     >= 0; 0 where all members agree

the part of the uncertainty that comes from the weights (Houlsby et al. 2011, arXiv 1112.5745; Gal &
Ghahramani 2016, arXiv 1506.02142). All in nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transplant.evaluation.logit_rows import LogitRows, row_blocks
from transplant.modules.entropy import entropy_of

ROWS = 256
_TINY = torch.finfo(torch.float64).tiny  # a probability below it is no infinite loss


@dataclass(frozen=True)
class TokenUncertainty:
    """One value for each predicted token, [tokens] each, float64 but where said."""

    entropy: Tensor
    """Of the model's own distribution."""
    confidence: Tensor
    """Its largest probability."""
    right: Tensor  # bool
    """Whether its first choice was the next token."""
    nats: Tensor
    """-log p of the next token."""
    predictive_entropy: Tensor
    mutual_information: Tensor
    mean_confidence: Tensor
    """The largest probability of the members' mean."""
    mean_right: Tensor  # bool
    mean_nats: Tensor

    @classmethod
    def join(cls, parts: Sequence[TokenUncertainty]) -> TokenUncertainty:
        """All parts one after the other."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: torch.cat([getattr(one, name) for one in parts]) for name in names})


@torch.no_grad()
def token_uncertainty(
    own: LogitRows, members: Sequence[LogitRows], labels: Tensor
) -> TokenUncertainty:
    """Measures the rows of a window, some at a time, in float64.

    Args:
        own: the model's logits [rows, vocab].
        members: those of each member; of none, the model's own are their mean.
        labels: the next tokens [rows].
    """
    parts: list[TokenUncertainty] = []
    # Of double width: the log-probabilities, the probabilities and their sum are at hand together.
    for rows in row_blocks(len(own), 6 * own.shape[1], ROWS):
        wanted = labels[rows, None]
        log_p = _log_probabilities(own[rows])
        entropy = entropy_of(log_p)
        mean, inner = _mean_of(members, rows, log_p, entropy)
        outer = -torch.special.xlogy(mean, mean).sum(1)
        sure, first = log_p.max(dim=1)
        mean_sure, mean_first = mean.max(dim=1)
        parts.append(
            TokenUncertainty(
                entropy=entropy, confidence=sure.exp(), right=first == wanted[:, 0],
                nats=-log_p.gather(1, wanted)[:, 0], predictive_entropy=outer,
                mutual_information=(outer - inner).clamp_min(0.0), mean_confidence=mean_sure,
                mean_right=mean_first == wanted[:, 0],
                mean_nats=-mean.gather(1, wanted)[:, 0].clamp_min(_TINY).log(),
            )
        )  # fmt: skip
    return TokenUncertainty.join(parts)


@torch.no_grad()
def token_nats(rows: LogitRows, labels: Tensor) -> Tensor:
    """-log p of each row's next token [rows], in float64."""
    parts = [
        -_log_probabilities(rows[block]).gather(1, labels[block, None])[:, 0]
        for block in row_blocks(len(rows), 6 * rows.shape[1], ROWS)
    ]
    return torch.cat(parts)


def error_auroc(uncertainty: NDArray[np.float64], right: NDArray[np.bool_]) -> float | None:
    """How often a wrong prediction is more uncertain than a right one; .5 is chance.

    The area under the ROC curve, from ranks, equal ones shared (Hanley & McNeil 1982).

    Args:
        uncertainty: [n].
        right: [n].

    Returns:
        The share, or None where all are right, or all wrong.
    """
    from scipy.stats import rankdata

    wrong = int((~right).sum())
    if wrong in (0, len(right)):
        return None
    ranks = rankdata(uncertainty)[~right].sum()
    return float((ranks - wrong * (wrong + 1) / 2) / (wrong * (len(right) - wrong)))


def _mean_of(
    members: Sequence[LogitRows], rows: slice, log_p: Tensor, entropy: Tensor
) -> tuple[Tensor, Tensor]:
    """The members' mean distribution [rows, vocab] and their mean entropy [rows]."""
    if not members:
        return log_p.exp(), entropy
    mean, inner = torch.zeros_like(log_p), torch.zeros_like(entropy)
    for member in members:
        log_q = _log_probabilities(member[rows])
        mean += log_q.exp()
        inner += entropy_of(log_q)
    return mean / len(members), inner / len(members)


def _log_probabilities(logits: LogitRows) -> Tensor:
    return logits.dense().double().log_softmax(dim=1)
