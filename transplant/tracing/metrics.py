"""Metrics of predictions, row by row: the more a change hurts, the larger.

Logits are computed for a few rows at a time: 32 MB of a tensor of them, five at once for `kl`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from transplant.backbones.token_losses import rows_at_once
from transplant.backbones.view import Backbone

COPIES = 2  # of which `rows_at_once` takes 64 MB together


@dataclass(frozen=True)
class Rows:
    """The predictions of an intact model that others are compared with.

    `labels` [rows] are the next tokens; `foils` [rows] the tokens that they are told from, for
    `logit-diff`; `hidden` [rows, d_model] what the head reads.
    """

    hidden: Tensor
    labels: Tensor
    foils: Tensor | None = None


Metric = Callable[[Tensor, Tensor | None, Rows, slice], Tensor]
"""(logits [some, vocab], for `kl` those of the intact model, all rows, which of them) -> [some]."""


def _nll(logits: Tensor, _intact: Tensor | None, rows: Rows, some: slice) -> Tensor:
    return functional.cross_entropy(logits, rows.labels[some], reduction="none")


def _kl(logits: Tensor, intact: Tensor | None, _rows: Rows, _some: slice) -> Tensor:
    assert intact is not None
    right = intact.log_softmax(-1)
    return (right.exp() * (right - logits.log_softmax(-1))).sum(-1)


def _logit_diff(logits: Tensor, _intact: Tensor | None, rows: Rows, some: slice) -> Tensor:
    assert rows.foils is not None
    picked = torch.stack([rows.foils[some], rows.labels[some]], dim=1)
    wrong, right = logits.gather(1, picked).unbind(1)
    return wrong - right


METRICS: dict[str, Metric] = {"nll": _nll, "kl": _kl, "logit-diff": _logit_diff}


def measure(backbone: Backbone, metric: str, hidden: Tensor, rows: Rows) -> Tensor:
    """The metric of each row, in single precision at least [rows].

    Args:
        backbone: whose head it is; a hosted model's hooks on the head are those of the caller.
        metric: of `METRICS`.
        hidden: what the head reads [rows, d_model], changed or not.
        rows: the same rows of the intact model.
    """
    found = []
    for some in blocks_of_rows(backbone, len(hidden)):
        logits = wide(backbone.head(hidden[some]))
        intact = wide(backbone.head(rows.hidden[some])) if metric == "kl" else None
        found.append(METRICS[metric](logits, intact, rows, some))
    return torch.cat(found)


def likeliest_others(backbone: Backbone, hidden: Tensor, labels: Tensor) -> Tensor:
    """The token of the largest logit of each row that is not its label, int64 [rows]."""
    found = []
    for some in blocks_of_rows(backbone, len(hidden)):
        best = backbone.head(hidden[some]).topk(2).indices
        is_label = best[:, 0] == labels[some]
        found.append(torch.where(is_label, best[:, 1], best[:, 0]))
    return torch.cat(found)


def draw_tokens(backbone: Backbone, hidden: Tensor, uniform: Tensor) -> Tensor:
    """A token of each row's own predictions, int64 [rows].

    Args:
        backbone: whose head it is.
        hidden: what the head reads [rows, d_model].
        uniform: a draw from [0, 1) for each row [rows].
    """
    found = []
    for some in blocks_of_rows(backbone, len(hidden)):
        below = wide(backbone.head(hidden[some])).softmax(-1).cumsum(-1)
        place = uniform[some].to(below)[:, None] * below[:, -1:]
        found.append(torch.searchsorted(below, place, right=True)[:, 0])
    return torch.cat(found).clamp_max(backbone.vocab_size - 1)


def wide(logits: Tensor) -> Tensor:
    """Logits in single precision at least."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def blocks_of_rows(backbone: Backbone, count: int) -> Iterator[slice]:
    """Rows, as many as have 32 MB of logits in single precision, block by block."""
    size = rows_at_once(backbone, COPIES)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
