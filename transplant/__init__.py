"""Move a domain module from one frozen language model into another, and prove that it worked.

    import transplant
    model = transplant.load("python@ref-gpt2")
    model(input_ids=...).logits; model.generate(...); model.tokenizer

Importing this package is cheap: torch and transformers are loaded with the first name used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.errors import TransplantError

if TYPE_CHECKING:
    from transplant.backbones.load import load_backbone
    from transplant.loading import load, versions

__all__ = ["TransplantError", "load", "load_backbone", "versions"]

_HOMES = {
    "load": "transplant.loading",
    "versions": "transplant.loading",
    "load_backbone": "transplant.backbones.load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'transplant' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
