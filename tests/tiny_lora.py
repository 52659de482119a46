"""A LoRA of a tiny backbone, trained for some steps by PEFT and saved as it saves them."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from transplant.backbones.view import Backbone
from transplant.backbones.views import view_of
from transplant.text.windows import Window


def train_lora(
    backbone: Backbone, windows: list[Window], folder: Path, *, base: str | None, steps: int = 60
) -> Path:
    """Pairs of rank 8 on every linear map; the backbone stays as it is.

    Args:
        backbone: the base.
        windows: what is learned, four at a step.
        folder: where it is saved.
        base: recorded as the base.
        steps: of Adam; 0 leaves it without an effect.
    """
    peft = pytest.importorskip("peft")
    model = copy.deepcopy(backbone.model)
    transposed = any(isinstance(module, Conv1D) for module in model.modules())
    config = peft.LoraConfig(
        r=8, lora_alpha=16, target_modules="all-linear", fan_in_fan_out=transposed
    )
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        view = view_of(backbone.name, model, backbone.tokenizer)
        wrapped = peft.get_peft_model(model, config)  # its pairs are inside the view's model
        moving = [p for p in wrapped.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(moving, 1e-2)
        for step in range(steps):
            batch = [windows[(4 * step + n) % len(windows)] for n in range(4)]
            states = view.run(batch).labelled()
            functional.cross_entropy(view.head(states.h_last), states.labels).backward()
            optimizer.step()
            optimizer.zero_grad()
        wrapped.save_pretrained(folder)
    settings = folder / "adapter_config.json"
    stored = json.loads(settings.read_text()) | {"base_model_name_or_path": base}
    settings.write_text(json.dumps(stored))
    return folder
