"""Settings in `adapter_config.json`, checked: what is read, what is left aside, what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from transplant.errors import CorruptError, InputError, foreign
from transplant.files import strict_json
from transplant.surgery.lora.patterns import check_pattern
from transplant.surgery.lora.settings import BIASES, LoraSettings

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
    "megatron_config": "its maps are split over processes (Megatron)",
}
KNOWN = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout",
    "fan_in_fan_out", "bias", "use_rslora", "modules_to_save", "init_lora_weights",
    "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern",
    "megatron_core", "loftq_config", "eva_config", "qalora_group_size", "lora_bias",
    "enable_lora", "runtime_config",
}  # fmt: skip
"""What is read, or what only training asks for."""


def read_settings(raw: bytes, file: Path) -> LoraSettings:
    """Checks what PEFT wrote into `adapter_config.json` and takes what is needed of it."""
    with foreign(f"{file}", CorruptError, expected="JSON"):
        stored = strict_json.parse(raw.decode())
    if not isinstance(stored, dict):
        raise CorruptError(f"{file}", expected="a JSON object", found=type(stored).__name__)
    _refuse(stored, file)
    with foreign(f"{file}: a setting that cannot be read", CorruptError):
        return LoraSettings(
            rank=_positive(stored.get("r", 8)),
            alpha=_finite(stored.get("lora_alpha", 8)),
            rank_pattern=_by_pattern(stored.get("rank_pattern"), _positive),
            alpha_pattern=_by_pattern(stored.get("alpha_pattern"), _finite),
            stabilised=_flag(stored.get("use_rslora")),
            targets=_names(stored.get("target_modules")) or None,
            excluded=_names(stored.get("exclude_modules")),
            layers=_numbers(stored.get("layers_to_transform")),
            layers_pattern=tuple(map(check_pattern, _listed(stored.get("layers_pattern")))),
            saved_modules=_listed(stored.get("modules_to_save")),
            bias=stored.get("bias", "none"),
            pair_bias=_flag(stored.get("lora_bias")),
            base=_text(stored.get("base_model_name_or_path")),
            revision=_text(stored.get("revision")),
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
    if stored.get("bias", "none") not in BIASES:
        raise InputError(f"{file}: bias", expected=f"one of {BIASES}", found=repr(stored["bias"]))
    _refuse_pairs(stored, file)
    unknown = sorted(k for k, v in stored.items() if v and k not in KNOWN and k not in REFUSED)
    if unknown:
        raise InputError(
            f"{file}: settings that are set and not known here", found=unknown[:3],
            hint="merge it with PEFT (merge_and_unload) and use the folder as a backbone",
        )  # fmt: skip


def _refuse_pairs(stored: Mapping[str, Any], file: Path) -> None:
    """Refuses settings that PEFT does not read together: which maps they mean is not said."""
    targets, layers = stored.get("target_modules"), stored.get("layers_to_transform")
    pattern = stored.get("layers_pattern")
    if targets == []:
        raise InputError(f"{file}: target_modules", expected="names, or null", found="no name")
    if isinstance(targets, str) and (layers not in (None, []) or pattern):
        raise InputError(
            f"{file}: layers_to_transform and layers_pattern choose among listed target_modules",
            expected="a list of names", found=f"the pattern {targets[:80]!r}",
            hint="the layers inside the pattern",
        )  # fmt: skip
    if pattern and layers is None:
        raise InputError(f"{file}: layers_pattern", expected="layers_to_transform beside it")


def _positive(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"a rank of {value!r}")
    return value


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
