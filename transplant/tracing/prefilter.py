"""A ranking by gradients, with exact effects of its first targets and of a sample of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.modules.hosted import HostedModel
from transplant.progress import Progress, unseen
from transplant.text.windows import Window
from transplant.tracing.config import PrefilterConfig, TraceConfig
from transplant.tracing.effects import Effects, Reading, trace
from transplant.tracing.gradients import estimate
from transplant.tracing.targets import Target


@dataclass(frozen=True)
class Prefiltered:
    """Estimates of all targets, and exact effects of some."""

    targets: tuple[Target, ...]
    estimates: Tensor  # float64 [targets], per token
    exact: Effects
    """Of the targets that were measured."""
    sample: tuple[Target, ...]
    """Those among these that were drawn at random: what `agreement` is over."""
    agreement: float
    """Spearman's rank correlation of estimates and exact effects on the sample."""


def prefilter(
    model: HostedModel,
    windows: Sequence[Window],
    targets: Sequence[Target],
    config: TraceConfig,
    options: PrefilterConfig,
    *,
    progress: Progress = unseen,
) -> Prefiltered:
    """Estimates every target, and measures those that seem to matter, and a sample of all.

    The agreement is over the sample alone: of the largest estimates it would say little of the
    others. Where all targets would be measured, all are the sample.

    Args:
        model: a backbone, alone or with a module or parts of others.
        windows: held-out text.
        targets: what is ranked.
        config: the intervention and the metric.
        options: how many are measured.
        progress: is told of each batch of gradients, then of each pass.
    """
    found = estimate(
        Reading(model), windows, targets, config, options.batch_tokens, progress=progress
    )
    top = found.abs().argsort(descending=True)[: options.keep].tolist()
    draw = torch.Generator().manual_seed(config.seed)
    sample = torch.randperm(len(targets), generator=draw)[: options.sample].tolist()
    chosen = sorted({*top, *sample})
    exact = trace(model, windows, [targets[n] for n in chosen], config, progress=progress)
    of_sample = [chosen.index(n) for n in sample]
    return Prefiltered(
        targets=tuple(targets),
        estimates=found,
        exact=exact,
        sample=tuple(targets[n] for n in sample),
        agreement=rank_correlation(found[sample], exact.per_token()[of_sample]),
    )


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation of two vectors [n]; ties share their mean rank; nan of one."""
    ranks = torch.stack([_ranks(a), _ranks(b)])
    return float(torch.corrcoef(ranks)[0, 1]) if len(a) > 1 else float("nan")


def _ranks(values: Tensor) -> Tensor:
    return torch.tensor(
        [float((values < v).sum()) + float((values == v).sum() - 1) / 2 for v in values],
        dtype=torch.float64,
    )
