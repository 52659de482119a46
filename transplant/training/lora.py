"""An update by low-rank adapters that are merged into the weights (Hu et al. 2021), from PEFT."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers.pytorch_utils import Conv1D

from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.progress import Progress
from transplant.text.windows import Window
from transplant.training.config import UpdateConfig
from transplant.training.finetune import Held, finetune


def lora(
    backbone: Backbone,
    windows: Sequence[Window],
    config: UpdateConfig,
    held: Held | None,
    progress: Progress | None,
) -> None:
    """Trains adapters on every linear map but the head, and merges them.

    Raises:
        InputError: PEFT is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise InputError(
            "an update of the kind lora needs the package peft",
            hint="pip install 'abi-transplant[lora]'",
        ) from error
    transposed = any(isinstance(module, Conv1D) for module in backbone.model.modules())
    adapters = peft.LoraConfig(
        r=config.lora_rank,
        lora_alpha=2 * config.lora_rank,
        target_modules="all-linear",
        fan_in_fan_out=transposed,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        wrapped = peft.LoraModel(backbone.model, adapters, "default")
    # The adapters are inside the backbone's own modules now: its view runs them.
    finetune(backbone, windows, config, held, progress)
    backbone.model = wrapped.merge_and_unload().requires_grad_(False)
