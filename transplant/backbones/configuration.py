"""The fingerprint of a configuration: of the settings that decide what a model computes.

It is taken of the configuration as its class resolves it, not of config.json: a setting that the
file leaves out and one that it states with the value of the class's default are the same, and so
are `10000` and `10000.0`. Values that equal the default of their class are left out, so that a
version of `transformers` that adds a setting changes no fingerprint. The price: a version that
changes a default is not seen where neither folder states the old value.

Left out besides: names, paths and versions; the dtype of storage, which the fingerprint of the
weights covers; caches and outputs that are returned beside the logits; dropout and initial weights,
which act in training alone; heads of other tasks; how text is generated. `decoder_start_token_id`
stays: a prefix model reads it. Code that comes with the weights is not covered.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transplant.errors import BackboneError, foreign

LEFT_OUT = {
    "name_or_path", "transformers_version", "architectures", "auto_map", "dtype", "torch_dtype",
    "use_cache", "return_dict", "output_hidden_states", "output_attentions", "torchscript",
    "gradient_checkpointing", "chunk_size_feed_forward", "task_specific_params", "id2label",
    "label2id", "num_labels", "problem_type", "finetuning_task", "tokenizer_class", "prefix",
    # how text is generated
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "mask_token_id",
    "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
    "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
    "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
    "num_return_sequences", "output_scores", "return_dict_in_generate", "forced_bos_token_id",
    "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty",
    "suppress_tokens", "begin_suppress_tokens",
}  # fmt: skip
LEFT_OUT_KINDS = re.compile(
    r"_|summary_|initializer_|init_std$|.*(dropout|pdrop|layerdrop|drop_path)"
)

EXACT = 2**53  # whole numbers below it are the same number as a float


def hash_config(config: Any) -> str:
    """The sha256 of a configuration's settings, in one canonical form.

    Args:
        config: of `transformers`.

    Raises:
        BackboneError: its class cannot say what is in it.
    """
    kept = {**settings_of(config), "model_type": config.model_type}
    with foreign("a configuration that cannot be read", BackboneError):
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def settings_of(config: Any) -> dict[str, Any]:
    """The settings that decide what a model computes, where they are not the class's defaults.

    Args:
        config: of `transformers`.

    Raises:
        BackboneError: its class cannot say what is in it.
    """
    with foreign("a configuration that cannot be read", BackboneError):
        stated = config.to_dict()
        try:
            usual = type(config)().to_dict()
        except Exception:  # a class of somebody else's, which asks for arguments
            usual = {}
        return _settings(stated, usual)


def hash_config_of(folder: Path) -> str:
    """The same of a folder's config.json, without loading its model.

    Raises:
        BackboneError: no configuration that can be read.
    """
    from transformers import AutoConfig

    from transplant.backbones.layercake.registration import register

    register()
    with foreign(f"cannot read the configuration of {folder}", BackboneError):
        return hash_config(AutoConfig.from_pretrained(str(folder), trust_remote_code=False))


def _settings(stated: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _canonical(value, usual.get(key))
        for key, value in stated.items()
        if key not in LEFT_OUT
        and not LEFT_OUT_KINDS.match(key)
        and not (key in usual and value == usual[key])
    }


def _canonical(value: Any, usual: Any = None) -> Any:
    """A value as every version writes it; a configuration inside another by the same rules."""
    if isinstance(value, Mapping):
        if "model_type" in value:
            return _settings(value, usual if isinstance(usual, Mapping) else {})
        return {str(key): _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < EXACT:
        return float(value)
    return value if isinstance(value, str | float | int | None) else str(value)
