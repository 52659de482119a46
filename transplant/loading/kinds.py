"""Other stored things that work in a backbone: injections, adapters, linear maps, fusions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import CorruptError, InputError, foreign
from transplant.loading.same import check_same

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.library import Library, StoredArtifact
    from transplant.modules.hosted import HostedModel

    Host = Callable[[Backbone, str, Library, int | None], HostedModel]
    Rebuild = Callable[[str, StoredArtifact, Backbone, Library, Host], HostedModel]


def host_other(backbone: Backbone, name: str, library: Library, host: Host) -> HostedModel | None:
    """A backbone with another stored thing at work, of one of `KINDS`, if there is one.

    Args:
        backbone: loaded already.
        name: without the backbone's.
        library: where it is looked up.
        host: attaches a module, for what is made of several.

    Raises:
        CorruptError: it belongs to another backbone of that name, what it was made from has changed
            since, or its record is not whole.
    """
    hosted = f"{name}@{backbone.name}"
    for kind, (made, again, rebuild) in KINDS.items():
        if (entry := library.get(kind, name, backbone.name, None)) is None:
            continue
        stored = library.load(entry)
        check_same(stored, backbone, made.format(hosted), again)
        with foreign(f"the {kind} {hosted} cannot be rebuilt", CorruptError, hint=again):
            return rebuild(hosted, stored, backbone, library, host)
    return None


def load_saved(folder: Path, **loading: Any) -> HostedModel:
    """The model of a folder that `save_pretrained` or an export wrote, of whichever class.

    Args:
        folder: it is one.
        loading: of `load_backbone`.

    Raises:
        BackboneError: the backbone is not where it was, or its weights are others.
        CorruptError: files that cannot be read.
    """
    from transplant.exported.modeling_abi_hosted import LINEAR
    from transplant.modules.hosted import HostedModel
    from transplant.modules.hosted_linear import LinearModel
    from transplant.modules.saved import open_stand_alone

    found = open_stand_alone(folder, **loading)
    with foreign(f"{folder} cannot be rebuilt", CorruptError):
        return (LinearModel if found.shape["form"] == LINEAR else HostedModel).opened(found)


def check_taps(taps: Sequence[int], backbone: Backbone, name: str) -> None:
    """Refuses taps that are no layers of a backbone.

    Raises:
        CorruptError: naming them.
    """
    last = backbone.n_layers
    if not taps or len({tap for tap in taps if 0 <= tap <= last}) != len(taps):
        raise CorruptError(
            f"the taps of {name}",
            expected=f"layers from 0 to {last}, each once",
            found=list(taps)[:20],
            hint=f"`rm({name!r})`, and make it again",
        )


def _injection(
    hosted: str, stored: StoredArtifact, backbone: Backbone, library: Library, _host: Host
) -> HostedModel:
    from transplant.surgery.bank.piece import Bank
    from transplant.surgery.inject.stored import InjectionRecord, build_graft, host_graft

    record = InjectionRecord.from_dict(stored.made.get("injection"))
    bank = library.fetch("bank", record.bank, record.donor, None)
    if bank.sha256 != stored.parents.get("bank"):
        raise CorruptError(
            f"the bank {record.bank}@{record.donor} has changed since {hosted} was made",
            expected=f"sha256 {str(stored.parents.get('bank'))[:12]}",
            found=bank.sha256[:12],
            hint="`inject()` it again",
        )
    part = Bank.from_stored(bank.tensors, bank.made["pieces"]).part(record.part)
    return host_graft(hosted, backbone, record, build_graft(record, part, backbone, stored.tensors))


def _adapter(
    hosted: str, stored: StoredArtifact, backbone: Backbone, _library: Library, _host: Host
) -> HostedModel:
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.surgery.lora.update import LoraUpdate

    update = LoraUpdate.from_tensors(stored.tensors, stored.made.get("scales"))
    return LoraModel(hosted, backbone, update)


def _fusion(
    hosted: str, stored: StoredArtifact, backbone: Backbone, library: Library, host: Host
) -> HostedModel:
    from transplant.surgery.fuse.stored import rebuild_fusion

    return rebuild_fusion(hosted, stored, backbone, library, host)


def _linear(
    hosted: str, stored: StoredArtifact, backbone: Backbone, _library: Library, _host: Host
) -> HostedModel:
    from transplant.modules.hosted_linear import LinearModel
    from transplant.modules.linear import LinearCorrection

    check_taps(stored.taps, backbone, hosted)
    return LinearModel(hosted, backbone, LinearCorrection.from_stored(stored.tensors, stored.taps))


def _basis(
    hosted: str, stored: StoredArtifact, backbone: Backbone, _library: Library, _host: Host
) -> HostedModel:
    from transplant.basis.adapter import BasisAdapter
    from transplant.basis.record import BasisRecord
    from transplant.surgery.lora.hosted import LoraModel

    if BasisRecord.from_dict(stored.made.get("basis"), hosted).adapted is None:
        raise InputError(
            f"{hosted} is a basis alone, and no model", expected="an adapter inside it",
            hint=f"`basis_adapt({hosted!r}, domain=...)`",
        )  # fmt: skip
    return LoraModel(hosted, backbone, BasisAdapter.from_tensors(stored.tensors).as_lora())


KINDS: dict[str, tuple[str, str, Rebuild]] = {
    "injection": ("the bridges of {} were fitted to", "`inject()` it again", _injection),
    "adapter": (
        "the adapter {} was made for", "`adapters(source='FOLDER')` or `transfer()` again", _adapter
    ),
    "linear": ("the linear map {} was fitted to", "`transfer()` again", _linear),
    "basis": ("the basis of {} was fitted to", "`basis_fit()` and `basis_adapt()` again", _basis),
    "fusion": ("the fusion {} was trained on", "`fuse()` again", _fusion),
}  # fmt: skip
"""By kind: how it came to its weights, what to do where they differ, and how it is rebuilt."""
