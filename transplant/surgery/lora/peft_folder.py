"""Writing a LoRA as PEFT writes it: `adapter_config.json` and `adapter_model.safetensors`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.surgery.lora.folder import CONFIG, PREFIX, WEIGHTS
from transplant.surgery.lora.match import targets_of
from transplant.surgery.lora.settings import LoraSettings
from transplant.surgery.lora.update import B_BIAS, TABLE_A, TABLE_B, A, B, LoraUpdate, Pair


def refuse_whole(update: LoraUpdate, name: str) -> None:
    """Refuses what is no sum of pairs.

    Raises:
        InputError: parameters that were trained whole, or some pairs with a bias and some without.
    """
    if update.whole:
        raise InputError(
            f"{name} holds parameters that were trained whole, beside its pairs",
            expected="pairs alone", found=", ".join(sorted(update.whole)[:3]),
            hint="the folder that it was imported from is one of PEFT already; "
            "`form='safetensors'` tells all of it",
        )  # fmt: skip
    if len({pair.bias is None for pair in update.pairs.values()}) > 1:
        raise InputError(
            f"{name} has pairs with a bias and pairs without", expected="all or none",
            hint="`form='safetensors'`",
        )  # fmt: skip


def write_peft(
    folder: Path, update: LoraUpdate, backbone: Backbone, *, base: str, revision: str | None
) -> None:
    """Fills a folder that `PeftModel.from_pretrained` loads.

    All pairs have one scale, by which B is made up for: readers that know of no pattern, as vLLM,
    take `lora_alpha / r` for every one of them, whatever its rank.

    Args:
        folder: is there.
        update: pairs alone, see `refuse_whole`.
        backbone: what they change.
        base: what PEFT is told that is: a hub id or a folder.
        revision: its commit on a hub.
    """
    update = of_one_scale(update)
    settings = peft_settings(update, backbone) | {
        "base_model_name_or_path": base, "revision": revision,
    }  # fmt: skip
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (folder / CONFIG).write_text(text, "utf-8")
    save_file(peft_tensors(update, backbone), folder / WEIGHTS, {"format": "pt"})


def of_one_scale(update: LoraUpdate) -> LoraUpdate:
    """The same changes in pairs that all have the scale which most of them have, where not 0."""
    scales = Counter(pair.scale for pair in update.pairs.values() if pair.scale)
    if not scales:
        return update
    scale = scales.most_common(1)[0][0]
    pairs = {name: _scaled(pair, scale) for name, pair in update.pairs.items()}
    return LoraUpdate(pairs, update.whole)


def _scaled(pair: Pair, scale: float) -> Pair:
    if pair.scale == scale:
        return pair
    factor = pair.scale / scale
    bias = None if pair.bias is None else factor * pair.bias.float()
    return Pair(pair.a, factor * pair.b.float(), bias, scale)


def peft_settings(update: LoraUpdate, backbone: Backbone) -> dict[str, Any]:
    """What `adapter_config.json` says of the pairs: their places, ranks and scales."""
    modules = dict(backbone.model.named_modules())
    ranks = {name: len(pair.a) for name, pair in update.pairs.items()}
    alphas = {name: pair.scale * ranks[name] for name, pair in update.pairs.items()}
    rank, alpha = (Counter(each.values()).most_common(1)[0][0] for each in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "task_type": "SEQ_2_SEQ_LM" if backbone.model.config.is_encoder_decoder else "CAUSAL_LM",
        "inference_mode": True, "r": rank, "lora_alpha": _plain(alpha), "lora_dropout": 0.0,
        "use_rslora": False, "bias": "none", "init_lora_weights": True, "modules_to_save": None,
        "lora_bias": any(pair.bias is not None for pair in update.pairs.values()),
        "fan_in_fan_out": any(isinstance(modules[name], Conv1D) for name in update.pairs),
        "target_modules": named_shortly([*update.pairs], backbone),
        "rank_pattern": {name: r for name, r in ranks.items() if r != rank},
        "alpha_pattern": {name: _plain(a) for name, a in alphas.items() if a != alpha},
    }  # fmt: skip


def named_shortly(names: list[str], backbone: Backbone) -> list[str]:
    """The last parts of the modules' names where these mean no other module, else whole names."""
    ends = sorted({name.rpartition(".")[2] for name in names})
    meant = targets_of(LoraSettings(rank=1, alpha=1, targets=tuple(ends)), backbone)
    return ends if {*meant} == {*names} else sorted(names)


def peft_tensors(update: LoraUpdate, backbone: Backbone) -> dict[str, Tensor]:
    """The tensors by PEFT's names."""
    modules = dict(backbone.model.named_modules())
    named: dict[str, Tensor] = {}
    for name, pair in update.pairs.items():
        for leaf, tensor in _leaves(pair, modules[name]).items():
            named[f"{PREFIX}{name}.{leaf}"] = tensor.detach().cpu().contiguous()
    return named


def _leaves(pair: Pair, module: nn.Module) -> Mapping[str, Tensor]:
    if isinstance(module, nn.Embedding):
        return {TABLE_A: pair.a, TABLE_B: pair.b}
    bias = {} if pair.bias is None else {B_BIAS: pair.bias}
    return {A: pair.a, B: pair.b, **bias}


def _plain(number: float) -> float | int:
    """A whole number without a point: some readers take no other."""
    return int(number) if float(number).is_integer() else number
