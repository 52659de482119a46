"""Move a domain module from one frozen language model into another, and prove that it worked.

    import transplant
    model = transplant.load("python@ref-gpt2")
    model(input_ids=...).logits; model.generate(...); model.tokenizer

    work = transplant.Workspace()
    move = work.move("python@ref-gpt2", to="ref-llama")
    print(move.evidence().recovered["candidate"]); move.store()

Importing this package is cheap: torch and transformers are loaded with the first name used. Folders
that `Workspace.export` wrote load by `AutoModelForCausalLM.from_pretrained` once it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.errors import TransplantError
from transplant.loading.on_import import register_when_imported

if TYPE_CHECKING:
    from transplant.backbones.load import load_backbone
    from transplant.calibration.config import MoveConfig
    from transplant.evaluation.config import NIBConfig
    from transplant.loading.hosted import load, versions
    from transplant.training.config import TrainConfig
    from transplant.workspace import Workspace

__all__ = [
    "MoveConfig",
    "NIBConfig",
    "TrainConfig",
    "TransplantError",
    "Workspace",
    "load",
    "load_backbone",
    "versions",
]

_HOMES = {
    "MoveConfig": "transplant.calibration.config",
    "NIBConfig": "transplant.evaluation.config",
    "TrainConfig": "transplant.training.config",
    "Workspace": "transplant.workspace",
    "load": "transplant.loading.hosted",
    "load_backbone": "transplant.backbones.load",
    "versions": "transplant.loading.hosted",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'transplant' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


register_when_imported()
