"""Reading a folder that PEFT has saved: its settings checked, its tensors as they are named."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from transplant.errors import CorruptError, InputError, NotFoundError, NumericalError, foreign
from transplant.files import strict_json
from transplant.files.plain import read_plain
from transplant.surgery.lora.patterns import check_pattern
from transplant.surgery.lora.settings import BIASES, LoraSettings

CONFIG, WEIGHTS, PICKLED = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
MAX_CONFIG = 1 << 24  # bytes
Number = TypeVar("Number", int, float)
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")
"""Ways to start a pair that leave the backbone's weights as they are."""
REFUSED = {
    "use_dora": "DoRA rescales each row of the weight: no sum of the weight and B A",
    "layer_replication": "the backbone it was trained on has some of its layers twice",
    "trainable_token_indices": "single rows of the embeddings were trained",
    "target_parameters": "parameters outside of linear maps were adapted",
    "ensure_weight_tying": "its pair on the embeddings acts on the head, too",
    "alora_invocation_tokens": "it acts only behind certain tokens (aLoRA)",
    "use_qalora": "its inputs are pooled in groups (QALoRA)",
    "use_bdlora": "its factors are block-diagonal",
    "arrow_config": "it is routed among others for each token (Arrow)",
    "kasa_config": "it changes the backbone's own weights (KaSA)",
}
KNOWN = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout",
    "fan_in_fan_out", "bias", "use_rslora", "modules_to_save", "init_lora_weights",
    "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern", "megatron_config",
    "megatron_core", "loftq_config", "eva_config", "qalora_group_size", "lora_bias",
    "enable_lora", "runtime_config",
}  # fmt: skip
"""What is read, or what only training asks for."""


@dataclass(frozen=True)
class LoraFolder:
    """A saved adapter: what it says, what it holds, and which bytes it was."""

    path: Path
    settings: LoraSettings
    tensors: dict[str, Tensor]
    """By the names of the model that was adapted: `transformer.h.0.attn.c_attn.lora_A.weight`."""
    config_sha256: str
    weights_sha256: str


def read_lora(path: Path) -> LoraFolder:
    """Reads `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        NotFoundError: one of them is not there.
        InputError: a pickle, another kind of adapter, or a setting that no such sum can express.
        CorruptError: a file that cannot be read.
        NumericalError: a tensor with NaN or infinity.
    """
    if not (path / CONFIG).is_file():
        raise NotFoundError(
            f"{path} is no adapter", expected=f"a folder with {CONFIG} and {WEIGHTS}",
            found="no such folder" if not path.is_dir() else f"no {CONFIG}",
            hint="the folder that PEFT's save_pretrained wrote",
        )  # fmt: skip
    with foreign(f"{path / CONFIG} cannot be read", CorruptError):
        raw = read_plain(path / CONFIG, MAX_CONFIG, follow=True)
    settings = read_settings(raw, path / CONFIG)
    file = path / WEIGHTS
    if not file.is_file():
        _refuse_missing(path)
    with foreign(f"{file}", CorruptError, expected="safetensors"):
        tensors = load_file(file)
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise CorruptError(f"{file}: {name}", expected="numbers", found=tensor.dtype)
        if not torch.isfinite(tensor.float()).all():
            raise NumericalError(f"{file}: {name} holds NaN or infinity")
    return LoraFolder(
        path, settings, _own_names(tensors, file), hashlib.sha256(raw).hexdigest(),
        hashlib.sha256(file.read_bytes()).hexdigest(),
    )  # fmt: skip


def read_settings(raw: bytes, file: Path) -> LoraSettings:
    """Checks what PEFT wrote into `adapter_config.json` and takes what is needed of it."""
    with foreign(f"{file}", CorruptError, expected="JSON"):
        stored = strict_json.parse(raw.decode())
    if not isinstance(stored, dict):
        raise CorruptError(f"{file}", expected="a JSON object", found=type(stored).__name__)
    _refuse(stored, file)
    with foreign(f"{file}: a setting that cannot be read", CorruptError):
        return LoraSettings(
            rank=_positive(stored["r"]),
            alpha=_finite(stored.get("lora_alpha", 8)),
            rank_pattern=_by_pattern(stored.get("rank_pattern"), _positive),
            alpha_pattern=_by_pattern(stored.get("alpha_pattern"), _finite),
            stabilised=_flag(stored.get("use_rslora")),
            targets=_names(stored.get("target_modules")) or None,
            excluded=_names(stored.get("exclude_modules")),
            layers=_numbers(stored.get("layers_to_transform")),
            layers_pattern=tuple(map(check_pattern, _listed(stored.get("layers_pattern")))),
            saved_modules=_listed(stored.get("modules_to_save")),
            bias=stored.get("bias") or "none",
            pair_bias=_flag(stored.get("lora_bias")),
            base=_text(stored.get("base_model_name_or_path")),
        )


def _refuse(stored: Mapping[str, Any], file: Path) -> None:
    kind = stored.get("peft_type")
    if kind != "LORA":
        raise InputError(f"{file}: peft_type", expected="LORA", found=kind)
    for name, reason in REFUSED.items():
        if stored.get(name):
            raise InputError(
                f"{file}: {name} is set, which cannot be imported: {reason}",
                hint="merge it with PEFT (merge_and_unload) and use the folder as a backbone",
            )
    start = stored.get("init_lora_weights")
    if start not in PLAIN_STARTS:
        raise InputError(
            f"{file}: init_lora_weights {start!r} has changed the backbone's own weights",
            expected=f"one of {[*PLAIN_STARTS]}",
            hint="save it with PEFT's path_initial_model_for_weight_conversion: a plain LoRA",
        )
    if (stored.get("bias") or "none") not in BIASES:
        raise InputError(f"{file}: bias", expected=f"one of {BIASES}", found=stored["bias"])
    unknown = sorted(k for k, v in stored.items() if v and k not in KNOWN and k not in REFUSED)
    if unknown:
        raise InputError(
            f"{file}: settings that are set and not known here", found=unknown[:3],
            hint="merge it with PEFT (merge_and_unload) and use the folder as a backbone",
        )  # fmt: skip


def _refuse_missing(path: Path) -> None:
    if (path / PICKLED).is_file():
        raise InputError(
            f"{path / PICKLED} is a pickle, and pickle is never loaded", expected=WEIGHTS,
            hint="where its maker is trusted: PeftModel.from_pretrained(model, "
            f"'{path}').save_pretrained(DIR, safe_serialization=True)",
        )  # fmt: skip
    raise NotFoundError(f"{path} has no weights", expected=WEIGHTS)


def _own_names(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Names inside the model: without PEFT's own layers around it."""
    strangers = [name for name in tensors if not name.startswith(PREFIX)]
    if strangers:
        raise InputError(
            f"{file}: keys that PEFT does not write", expected=f"{PREFIX}...", found=strangers[:3]
        )
    return {
        name.removeprefix(PREFIX).replace(".modules_to_save.", ".").replace(".base_layer.", "."): t
        for name, t in tensors.items()
    }


def _positive(value: Any) -> int:
    if type(value) not in (int, float) or int(value) != value or value < 1:
        raise ValueError(f"a rank of {value!r}")
    return int(value)


def _finite(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"an alpha of {value!r}")
    return float(value)


def _flag(value: Any) -> bool:
    if value not in (None, True, False) or type(value) is int:
        raise TypeError(f"{value!r} in place of true or false")
    return bool(value)


def _text(value: Any) -> str | None:
    if not (value is None or isinstance(value, str)):
        raise TypeError(f"{value!r} in place of a name")
    return value


def _by_pattern(stored: Any, number: Callable[[Any], Number]) -> dict[str, Number]:
    if stored is None:
        return {}
    if not isinstance(stored, dict):
        raise TypeError(f"{stored!r} in place of numbers by pattern")
    return {check_pattern(pattern): number(value) for pattern, value in stored.items()}


def _names(stored: Any) -> tuple[str, ...] | str:
    return check_pattern(stored) if isinstance(stored, str) else _listed(stored)


def _listed(stored: Any) -> tuple[str, ...]:
    if stored is None:
        return ()
    names = [stored] if isinstance(stored, str) else stored
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{stored!r} in place of names")
    return tuple(names)


def _numbers(stored: Any) -> tuple[int, ...]:
    if stored is None:
        return ()
    numbers = stored if isinstance(stored, list) else [stored]
    if not all(type(number) is int for number in numbers):
        raise TypeError(f"{stored!r} in place of numbers")
    return tuple(numbers)
