"""Domain modules inside the registry's LayerCake cores: finding them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, NotFoundError
from transplant.surgery.core import module_prefix

if TYPE_CHECKING:
    from registry.manifest import Manifest
    from registry.store import Registry


def module_records(registry: Registry, core: str) -> dict[str, Any]:
    """How each module inside a core was made; none for a core outside the registry."""
    manifest = _core_manifest(registry, core)
    return {} if manifest is None else manifest.made.get("modules", {})


def find_core_module(registry: Registry, name: str) -> Manifest | None:
    """The manifest of a module inside a core, by its hosted name; None where there is none.

    It is made from the core's: the tensors are the module's alone, under their portable names.
    """
    from registry.manifest import Manifest

    module, core, _ = registry.split_name(name)
    home = _core_manifest(registry, core) if module is not None else None
    if module is None or home is None or module not in home.made.get("modules", {}):
        return None
    record = home.made["modules"][module]
    prefix = module_prefix(module)
    return Manifest(
        name=module,
        kind="module",
        domain=record["domain"],
        backbone=home.backbone,
        d_abi=record["d_abi"],
        tensors={
            tensor.removeprefix(prefix): found
            for tensor, found in home.tensors.items()
            if tensor.startswith(prefix)
        },
        made=record["made"],
        results=record["results"],
    )


def _core_manifest(registry: Registry, core: str) -> Manifest | None:
    try:
        return registry.find("backbone", core).manifest
    except (NotFoundError, InputError):
        return None
