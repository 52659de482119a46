"""Makes `transformers` know hosted models by their model type."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

CORES = "transplant.backbones.layercake.registration"


def register_configuration() -> None:
    """Lets `AutoConfig` read exported folders; a second call changes nothing."""
    from transformers import AutoConfig

    from transplant.exported.configuration_abi_hosted import AbiHostedConfig

    AutoConfig.register(AbiHostedConfig.model_type, AbiHostedConfig, exist_ok=True)


def register_models() -> None:
    """Lets the Auto classes load exported folders, and cores; a second call changes nothing."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    from transplant.exported import backbone_abi_hosted as backbones
    from transplant.exported import modeling_abi_hosted as models
    from transplant.exported.configuration_abi_hosted import AbiHostedConfig

    register_configuration()
    if CORES not in sys.modules:  # else whoever imports it registers them
        importlib.import_module(CORES).register()
    for auto, model in (
        (AutoModelForCausalLM, models.AbiHostedForCausalLM),
        (AutoModelForSeq2SeqLM, models.AbiHostedForConditionalGeneration),
    ):
        auto.register(AbiHostedConfig, model, exist_ok=True)
    if _folder_of not in backbones.FOUND_BY_NAME:
        backbones.FOUND_BY_NAME.append(_folder_of)


def _folder_of(name: str) -> Path | None:
    """The folder of a backbone that the installed library holds."""
    from transplant.loading.hosted import installed_library

    return installed_library().backbone_path(name)
