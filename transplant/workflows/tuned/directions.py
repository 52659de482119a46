"""The directions of a stored basis of the target, where the student `basis` may change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transplant.errors import InputError
from transplant.workflows.basis.stored import basis_on, check_basis

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.basis.adapter import Subspace
    from transplant.basis.record import BasisRecord
    from transplant.workflows.work import Work


@dataclass(frozen=True)
class Directions:
    """The subspaces of a basis that has ranks."""

    subspaces: Mapping[str, Subspace]
    record: BasisRecord
    sha256: str
    """Of the basis."""


def read_directions(work: Work, name: str, target: Backbone) -> Directions:
    """Reads a basis of a target that is loaded.

    Args:
        work: the setting.
        name: of the basis, as `code@ref-llama`.
        target: the backbone that it must be of.

    Raises:
        NotFoundError: there is none of that name.
        InputError: it is an adapter, of another backbone, or has no ranks.
        CorruptError: it belongs to other weights.
    """
    from transplant.basis.adapter import adapter_of
    from transplant.basis.fit import basis_from_tensors
    from transplant.basis.maps import select_maps

    checked = check_basis(work, name)
    hosted, record, _ = checked
    if hosted.backbone != target.name:
        raise InputError("`basis`", expected=f"a basis of {target.name}", found=name)
    ranks = record.allocated(name)
    stored = basis_on(work, checked, target)
    basis = basis_from_tensors(stored.tensors, record.rows, record.directions)
    maps = select_maps(target, str(record.fit["layers"]))
    subspaces = adapter_of(maps, basis, ranks).subspaces
    return Directions(subspaces, record, stored.entry.manifest.sha256)
