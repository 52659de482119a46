"""Bases in the library: found by name, and the names that new ones may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.basis.record import BasisRecord
from transplant.errors import InputError
from transplant.workflows.artifacts import HOSTED
from transplant.workflows.basis.far import far_backbone
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.backbones.view import Backbone
    from transplant.library import Entry, HostedName

KIND = "basis"


@dataclass(frozen=True)
class StoredBasis:
    """A fitted basis, read with the backbone that it belongs to."""

    name: str
    """Its own name, without the backbone's."""
    backbone: Backbone
    record: BasisRecord
    tensors: Mapping[str, Tensor]
    entry: Entry

    @property
    def corpus(self) -> str:
        """The text that it was fitted to."""
        return str(self.record.fit["corpus"])


def check_basis(work: Work, name: str) -> tuple[HostedName, BasisRecord, Entry]:
    """Finds a fitted basis without loading anything.

    Raises:
        NotFoundError: there is none of that name.
        InputError: it is an adapter already.
    """
    hosted = work.named(name)
    if hosted.module is None:
        raise InputError("a basis", expected="its name, as NAME@<backbone>", found=name)
    entry = work.find(hosted, KIND)
    record = BasisRecord.from_dict(entry.manifest.made.get(KIND), name)
    if record.adapted is not None:
        raise InputError(
            f"{name} is an adapter, made from a basis", expected="the basis itself",
            hint="`list(kind='basis')`",
        )  # fmt: skip
    return hosted, record, entry


def read_basis(work: Work, name: str, *, layer_at_a_time: bool = False) -> StoredBasis:
    """Loads a fitted basis and its backbone.

    Args:
        work: the setting.
        name: as `code@ref-gpt2`.
        layer_at_a_time: whether the layers of the backbone stay on the disk.

    Raises:
        NotFoundError: there is none of that name.
        InputError: it is an adapter already.
        CorruptError: it belongs to another backbone of that name.
    """
    checked = check_basis(work, name)
    load = far_backbone if layer_at_a_time else Work.backbone
    backbone = load(work, checked[0].backbone)
    return basis_on(work, checked, backbone, on_disk=layer_at_a_time)


def basis_on(
    work: Work, checked: tuple[HostedName, BasisRecord, Entry], backbone: Backbone, *,
    on_disk: bool = False,
) -> StoredBasis:  # fmt: skip
    """A fitted basis of a backbone that is loaded.

    Args:
        work: the setting.
        checked: of `check_basis`.
        backbone: that it must belong to.
        on_disk: whether its tensors stay there: each is read whenever it is asked for.

    Raises:
        CorruptError: it belongs to another backbone of that name.
    """
    from transplant.loading.same import check_same

    hosted, record, entry = checked
    stored = work.library.load(entry, on_disk=on_disk)
    check_same(stored, backbone, f"the basis {hosted} was fitted to", "`basis_fit()` it again")
    return StoredBasis(str(hosted.module), backbone, record, stored.tensors, entry)


def claim(work: Work, name: str, backbone: str, *, replace: bool) -> None:
    """Takes the name of what will be stored, before the work.

    Raises:
        ExistsError: something that would be found by the same name is there.
    """
    work.library.check_free([kind for kind in HOSTED if kind != KIND], name, backbone, None)
    work.library.claim((KIND,), name, backbone, None, replace=replace)


def store_basis(
    work: Work, name: str, backbone: Backbone, record: BasisRecord,
    tensors: Mapping[str, Tensor], *, replace: bool, domain: str | None = None,
    results: Mapping[str, Any] | None = None, parents: Mapping[str, str] | None = None,
    **facts: Any,
) -> Entry:  # fmt: skip
    """Writes a basis or an adapter inside one.

    Args:
        work: the setting.
        name: without the backbone's.
        backbone: that it belongs to.
        record: what is known of it.
        tensors: by map and part.
        replace: whether what has that name may go.
        domain: of an adapter.
        results: what was measured.
        parents: what it was made from.
        facts: how it was made.
    """
    return work.library.store(
        KIND, name, tensors, backbone=backbone, domain=domain,
        made=work.made(basis=record.as_dict(), **facts), results=results, parents=parents,
        replace=replace,
    )  # fmt: skip
