"""Domain modules inside the registry's LayerCake cores: finding them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.paste.core import module_prefix

if TYPE_CHECKING:
    from transplant.library import HostedName, Library, Manifest


def module_records(library: Library, core: str) -> dict[str, Any]:
    """How each module inside a core was made; none for a core outside the library."""
    manifest = _core_manifest(library, core)
    return {} if manifest is None else manifest.made.get("modules", {})


def find_core_module(library: Library, name: HostedName) -> Manifest | None:
    """The manifest of a module inside a core; None where there is none.

    It is made from the core's: the tensors are the module's alone, under their portable names.
    """
    module = name.module
    home = _core_manifest(library, name.backbone) if module is not None else None
    if module is None or home is None or module not in home.made.get("modules", {}):
        return None
    record = home.made["modules"][module]
    prefix = module_prefix(module)
    return home.part(
        module, prefix, domain=record["domain"], d_abi=record["d_abi"], made=record["made"],
        results=record["results"],
    )  # fmt: skip


def _core_manifest(library: Library, core: str) -> Manifest | None:
    try:
        entry = library.get("backbone", core)
    except InputError:  # no name of a registry
        return None
    return None if entry is None else entry.manifest
