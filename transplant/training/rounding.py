"""Updates that only round the weights: to half precision, to eight bits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.progress import Progress
from transplant.text.windows import Window
from transplant.training.config import UpdateConfig
from transplant.training.finetune import Held

LEVELS = 127  # of a signed byte, on each side of zero


@torch.no_grad()
def half(
    backbone: Backbone,
    windows: Sequence[Window],  # noqa: ARG001
    config: UpdateConfig,  # noqa: ARG001
    held: Held | None,  # noqa: ARG001
    progress: Progress | None,  # noqa: ARG001
) -> None:
    """Every weight to bfloat16 and back: the half precision that most models are published in."""
    for parameter in backbone.model.parameters():
        parameter.copy_(parameter.to(torch.bfloat16))


@torch.no_grad()
def int8(
    backbone: Backbone,
    windows: Sequence[Window],  # noqa: ARG001
    config: UpdateConfig,  # noqa: ARG001
    held: Held | None,  # noqa: ARG001
    progress: Progress | None,  # noqa: ARG001
) -> None:
    """Every matrix to int8 and back, row by row; vectors stay as they are."""
    for parameter in backbone.model.parameters():
        if parameter.ndim == 2:
            parameter.copy_(rounded_rows(parameter))


def rounded_rows(matrix: Tensor) -> Tensor:
    """[rows, columns] as one byte each and a scale for each row give it back: absmax, symmetric."""
    scale = matrix.abs().amax(dim=1, keepdim=True) / LEVELS
    return (matrix / scale.clamp_min(torch.finfo(matrix.dtype).tiny)).round() * scale
