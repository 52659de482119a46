"""Names of hosted models' classes, as pipelines of `transformers` ask for them."""

from __future__ import annotations

from typing import Any, TypeVar

from transplant.exported.configuration_abi_hosted import AbiHostedConfig
from transplant.exported.hosting_abi_hosted import HostingModel

Model = TypeVar("Model", bound=HostingModel)
_KNOWN: dict[type, type] = {}
"""A configuration for each class, under which the Auto classes know it."""


def known_to_pipelines(model: Model) -> Model:
    """Has pipelines take a model's class: of others they log that it is not supported.

    They ask for the names of the classes that the Auto classes know, each of a configuration.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    kind = type(model)
    if kind not in _KNOWN:
        _KNOWN[kind] = type(f"{kind.__name__}Config", (AbiHostedConfig,), {})
    auto = AutoModelForSeq2SeqLM if model.config.is_encoder_decoder else AutoModelForCausalLM
    known: Any = auto._model_mapping
    known.register(_KNOWN[kind], kind, exist_ok=True)
    return model
