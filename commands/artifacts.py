"""From models in memory to artifacts in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from commands.session import Session
    from registry.manifest import BackboneRecord, Manifest
    from transplant.backbones.view import Backbone
    from transplant.calibration.bridge import Bridge
    from transplant.modules.correction import Correction


def record_of(backbone: Backbone) -> BackboneRecord:
    """What a manifest says of a backbone."""
    from registry.manifest import BackboneRecord

    return BackboneRecord(
        id=backbone.name,
        revision=backbone.revision,
        family=backbone.family,
        d_model=backbone.d_model,
        weights_sha256=backbone.weights_sha256,
        tokenizer_sha256=backbone.tokenizer_sha256,
        config_sha256=backbone.config_sha256,
    )


def describe(
    kind: str,
    name: str,
    domain: str | None,
    backbone: Backbone,
    d_abi: int | None,
    **facts: Any,
) -> Manifest:
    """The manifest of an artifact on a backbone; the registry adds the tensors' hashes."""
    from registry.manifest import Manifest

    record = record_of(backbone)
    return Manifest(kind=kind, name=name, domain=domain, backbone=record, d_abi=d_abi, **facts)


def refuse_existing(
    session: Session, kinds: tuple[str, ...], name: str, backbone: str, d_abi: int | None
) -> None:
    """Refuses a taken or impossible name before the work is done, not after.

    Raises:
        InputError: it cannot be a name.
        ExistsError: an artifact of that name is there.
        CorruptError: one is there and cannot be read.
    """
    from registry.names import check_name
    from transplant.errors import ExistsError

    check_name(name, "--name")
    for kind in kinds:
        for entry in session.registry.choices(kind, backbone, name):
            if entry.manifest.d_abi == d_abi:
                raise ExistsError(
                    f"{kind} {entry.hosted} is already in the registry",
                    hint=f"abi {session.verb.replace('_', '-')} ... --replace, or another --name",
                )


def store_hosted(
    session: Session,
    name: str,
    domain: str | None,
    backbone: Backbone,
    correction: Correction,
    *,
    made: dict[str, Any],
    results: dict[str, Any],
    parents: dict[str, str] | None = None,
    replace: bool = False,
) -> Manifest:
    """Writes the domain module and the interface of a hosted model; returns the module's manifest.

    The module goes first: an interface without its module would be named but unusable.
    """
    d_abi = correction.module.d_abi
    facts = {"made": made, "results": results, "parents": parents or {}}
    module = describe("module", name, domain, backbone, d_abi, **facts)
    entry = session.registry.write(module, tensors_of(correction.module), replace=replace)
    facts["parents"] = {**facts["parents"], "module_here": entry.manifest.sha256}
    interface = describe("interface", name, domain, backbone, d_abi, taps=correction.taps, **facts)
    session.registry.write(interface, tensors_of(correction.interface), replace=replace)
    if replace:
        _remove_gate(session, name, backbone, d_abi)
    return entry.manifest


def _remove_gate(session: Session, name: str, backbone: Backbone, d_abi: int) -> None:
    """Removes the gate of a module that was replaced: it was fitted to another z."""
    from transplant.errors import NotFoundError

    try:
        session.registry.remove(session.registry.find("gate", name, backbone.name, d_abi))
    except NotFoundError:
        return
    session.out.warn(f"the gate of {name}@{backbone.name} is gone with what it was fitted to")


def store_bridge(
    session: Session,
    name: str,
    domain: str | None,
    backbone: Backbone,
    bridge: Bridge,
    *,
    replace: bool,
    **facts: Any,
) -> str:
    """Writes a bridge and returns its path."""
    interface = bridge.interface
    manifest = describe(
        "bridge", name, domain, backbone, interface.d_abi, taps=interface.taps, **facts
    )
    return str(session.registry.write(manifest, tensors_of(interface), replace=replace).path)


def tensors_of(module: Any) -> Mapping[str, Tensor]:
    """A module's tensors, detached."""
    return {name: tensor.detach() for name, tensor in module.state_dict().items()}
