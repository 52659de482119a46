"""The gate of a hosted module, where the library holds one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transplant.errors import CorruptError
from transplant.loading.same import check_same
from transplant.modules.gate import Gate

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.library import Library, StoredArtifact
    from transplant.modules.correction import Correction


def load_gate(
    backbone: Backbone,
    module: str,
    correction: Correction,
    stored: tuple[StoredArtifact, StoredArtifact],
    library: Library,
) -> Gate | None:
    """The gate that was fitted to a hosted module; None where there is none.

    Args:
        backbone: loaded already.
        module: the module's name.
        correction: interface and module.
        stored: the artifacts that these two come from.
        library: where the gate is looked up.

    Raises:
        CorruptError: it was fitted to another interface, module or backbone of that name.
    """
    entry = library.get("gate", module, backbone.name, correction.interface.d_abi)
    if entry is None:
        return None
    found = library.load(entry)
    name = f"{module}@{backbone.name}"
    again = f"`rm({name!r}, kind='gate')`, then `gate(module={name!r})`"
    check_same(found, backbone, f"the gate of {name} was fitted to", again)
    fitted_to = [found.parents.get("interface"), found.parents.get("module")]
    if fitted_to != [part.sha256 for part in stored]:
        raise CorruptError(
            f"the gate of {name} was fitted to another interface or module",
            expected=" and ".join(part.sha256[:12] for part in stored),
            found=" and ".join(str(sha256)[:12] for sha256 in fitted_to),
            hint=again,
        )
    return Gate.from_tensors(found.tensors)
