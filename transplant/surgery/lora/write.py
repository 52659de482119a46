"""A LoRA as the folder that PEFT's `save_pretrained` writes: ranks and scales map by map."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from transformers.pytorch_utils import Conv1D

from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.surgery.lora.folder import CONFIG, PREFIX, WEIGHTS
from transplant.surgery.lora.update import A, B, LoraUpdate


def write_lora(folder: Path, backbone: Backbone, update: LoraUpdate) -> None:
    """Writes `adapter_config.json` and `adapter_model.safetensors` into a folder that is there.

    alpha of a map is scale * rank: `peft` multiplies B A with alpha / rank.

    Args:
        folder: to write to.
        backbone: that the pairs belong to.
        update: pairs alone.

    Raises:
        InputError: parameters that were trained whole, or biases of pairs.
    """
    if update.whole or any(pair.bias is not None for pair in update.pairs.values()):
        raise InputError("a LoRA of pairs alone can be written", found="trained biases or weights")
    ranks = {name: len(pair.a) for name, pair in update.pairs.items()}
    alphas = {name: pair.scale * ranks[name] for name, pair in update.pairs.items()}
    most = max(ranks.values())
    settings = {
        "peft_type": "LORA",
        "task_type": "SEQ_2_SEQ_LM" if isinstance(backbone, PrefixBackbone) else "CAUSAL_LM",
        "base_model_name_or_path": backbone.name, "revision": backbone.revision,
        "r": most, "lora_alpha": most, "rank_pattern": ranks, "alpha_pattern": alphas,
        "target_modules": sorted(ranks), "lora_dropout": 0.0, "bias": "none",
        "fan_in_fan_out": any(isinstance(m, Conv1D) for m in backbone.model.modules()),
        "init_lora_weights": True, "inference_mode": True,
    }  # fmt: skip
    tensors = {}
    for name, pair in update.pairs.items():
        tensors[f"{PREFIX}{name}.{A}"] = pair.a.float().contiguous()
        tensors[f"{PREFIX}{name}.{B}"] = pair.b.float().contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
