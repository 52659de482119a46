"""LayerCake: a language model designed around the shared space, as a `transformers` model.

The names below load torch and transformers, and register the Auto classes, when the first of them
is used; the command line reads `sizes` without either.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from transplant.backbones.layercake.sizes import SIZES, CoreSize, count_parameters

if TYPE_CHECKING:
    from transplant.backbones.layercake.config import LayerCakeConfig
    from transplant.backbones.layercake.forms import FORMS, Form, Full, Lite
    from transplant.backbones.layercake.model import (
        LayerCakeForCausalLM,
        LayerCakeModel,
        build_core,
    )
    from transplant.backbones.layercake.registration import register

__all__ = [
    "FORMS",
    "SIZES",
    "CoreSize",
    "Form",
    "Full",
    "LayerCakeConfig",
    "LayerCakeForCausalLM",
    "LayerCakeModel",
    "Lite",
    "build_core",
    "count_parameters",
    "register",
]
_HOMES = {
    "FORMS": "forms",
    "Form": "forms",
    "Full": "forms",
    "Lite": "forms",
    "LayerCakeConfig": "config",
    "LayerCakeForCausalLM": "model",
    "LayerCakeModel": "model",
    "build_core": "model",
    "register": "registration",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    importlib.import_module(f"{__name__}.registration").register()
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
