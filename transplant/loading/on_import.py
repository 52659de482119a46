"""Registration of hosted models with `transformers` and lm-eval, when those are imported.

`import transplant` stays cheap: it loads neither torch nor `transformers`. A finder waits for the
two modules of `transformers` that hold the Auto classes and for lm-eval's table of models, and
registers behind each of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

HARNESS_NAME, HARNESS_MODEL = "abi", "transplant.evidence.harness.model:AbiLM"
"""The name of hosted models in lm-eval, and the class that it loads by it."""


def _configuration() -> None:
    from transplant.loading.registration import register_configuration

    register_configuration()


def _models() -> None:
    from transplant.loading.registration import register_models

    register_models()


def _harness() -> None:
    # Of an lm-eval before 0.4.10, which has no such registry, nothing is asked and nothing breaks.
    registry = getattr(sys.modules["lm_eval.api.registry"], "model_registry", None)
    if registry is not None:
        registry.register(HARNESS_NAME, target=HARNESS_MODEL)


WAITING: dict[str, Callable[[], None]] = {
    "transformers.models.auto.configuration_auto": _configuration,
    "transformers.models.auto.modeling_auto": _models,
    "lm_eval.api.registry": _harness,
}


def register_when_imported() -> None:
    """Registers what is imported already; the rest as soon as it is."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    finder = _Finder(WAITING)
    sys.meta_path.insert(0, finder)
    for name in WAITING:
        if name in sys.modules:
            finder.imported(name)


class _Finder(MetaPathFinder):
    """Finds nothing itself: it has what others find register behind its import."""

    def __init__(self, waiting: dict[str, Callable[[], None]]) -> None:
        self._waiting = dict(waiting)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """The module's own spec, with a loader that registers afterwards."""
        if fullname not in self._waiting or self not in sys.meta_path:
            return None
        place = sys.meta_path.index(self)
        sys.meta_path.remove(self)
        try:
            spec = find_spec(fullname)
        finally:
            sys.meta_path.insert(place, self)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, lambda: self.imported(fullname))
        return spec

    def imported(self, name: str) -> None:
        """Registers what waited for a module; the finder goes with the last one."""
        register = self._waiting.pop(name, None)
        if not self._waiting:
            sys.meta_path.remove(self)
        if register is not None:
            register()


class _Loader(Loader):
    """A module's own loader, and a call behind it."""

    def __init__(self, own: Any, behind: Callable[[], None]) -> None:
        self._own, self._behind = own, behind

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does it."""
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the module's own loader does it; then the call."""
        self._own.exec_module(module)
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._own
        self._behind()

    def __getattr__(self, name: str) -> Any:
        """Whatever else its own loader can do."""
        return getattr(self._own, name)
