"""The error of a correction, measured by what it does to the logits.

A direction that no likely token's logit depends on may be wrong at no cost. The metric is the mean
curvature of the head, U' (diag(p) - p p') U with p the anchor's predictions (the Fisher metric).
"""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.kl import teacher_at

SAMPLED = 128  # rows of a batch that its metric is estimated on


def corr_mse_weighted(batch: Batch, change: Tensor, _progress: float) -> Tensor:
    """Mean over rows of e F e', e the difference from the anchor's correction.

    Args:
        batch: rows, with the anchor's correction; the first of them give the metric.
        change: the correction [rows, d_model] that learns.
    """
    with torch.no_grad():
        p = teacher_at(batch, slice(0, SAMPLED)).softmax(-1)  # [sampled, vocab]
        metric = mean_curvature(p, batch.target.unembedding.float())
    error = (change - batch.wanted).float()
    return (error @ metric * error).sum(-1).mean()


def mean_curvature(p: Tensor, head: Tensor) -> Tensor:
    """F [d_model, d_model]: the mean over rows of U' (diag(p) - p p') U.

    Args:
        p: probabilities [rows, vocab].
        head: U [vocab, d_model].
    """
    means = p @ head  # [rows, d_model]
    return (head * p.mean(0)[:, None]).T @ head - means.T @ means / len(p)
