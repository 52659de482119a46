"""How a large vocabulary is looked at: where it is likely, and how much of it."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from transplant.alignment.likely import LikelyTokens, likely_tokens
from transplant.backbones.split_head import SplitHead
from transplant.backbones.view import Backbone
from transplant.calibration.changes.spec import BEGINS_WITH, LACKING
from transplant.calibration.config import CONTINUED, LEFT_OUT, MoveConfig

WHOLE = 16_384  # tokens of a vocabulary of which all are looked at
TARGETS = 8  # times `likely_tokens` are kept of the target, before changes are known
LOGITS_AT_ONCE = 2_500_000  # 10 MB of them: larger blocks leave the cache and run slower


def is_large(target: Backbone) -> bool:
    """Whether a vocabulary is looked at where it is likely, not all of it at every position."""
    return target.split_head is not None and target.vocab_size > WHOLE


def suited(config: MoveConfig, target: Backbone) -> MoveConfig:
    """The same configuration with what suits the target where nothing was asked for."""
    change, inside = (LACKING, CONTINUED) if is_large(target) else (BEGINS_WITH, LEFT_OUT)
    return dataclasses.replace(
        config, changes=config.changes or (change,), inside=config.inside or inside
    )


def likely_for(target: Backbone, h_target: Tensor, shared: Tensor, likely: int) -> LikelyTokens:
    """What is likely for a target at some rows, on the CPU; several times as much as is compared.

    Args:
        target: the backbone, of a large vocabulary.
        h_target: its last hidden states [rows, d_model].
        shared: its tokens that the donor has, too.
        likely: tokens that a position is compared on.
    """
    head, place = target.split_head, target.device
    assert head is not None
    return likely_tokens(head, h_target.to(place), TARGETS * likely, shared.to(place)).cpu()


def head_on_cpu(target: Backbone, weight: Tensor) -> SplitHead:
    """The head of a target where fits run.

    Args:
        target: the backbone, of a large vocabulary.
        weight: its matrix, on the CPU [vocab, d_model].
    """
    head = target.split_head
    assert head is not None
    return SplitHead(weight, None if head.bias is None else head.bias.cpu(), head.soft_cap)
