"""From models in memory to artifacts in the registry."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

from transplant.files.former_keys import with_present_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from transplant.backbones.view import Backbone
    from transplant.calibration.bridge import Bridge
    from transplant.library import Entry, Manifest
    from transplant.modules.correction import Correction
    from transplant.workflows.work import Work

HOSTED = ("module", "injection", "adapter", "linear", "fusion", "basis")
"""The kinds of what a name on a backbone may lead to."""
COUNTS = "token_counts"


def describe_artifact(
    entry: Entry, *, verified: bool = False, full: bool = False
) -> dict[str, Any]:
    """Everything that is known about a stored artifact.

    Args:
        entry: the artifact.
        verified: whether every sha256 was computed again.
        full: whether the counts of the training tokens are told, one for each of a vocabulary.
    """
    manifest = entry.manifest
    report = dataclasses.asdict(cast(Any, manifest))
    report["results"] = with_present_keys(report["results"])
    report["manifest_version"] = report.pop("schema_version")
    if not full:
        report["made"].pop(COUNTS, None)
    return {
        **report, "hosted": manifest.hosted, "sha256": manifest.sha256, "path": str(entry.path),
        "verified": verified,
    }  # fmt: skip


def store_hosted(
    work: Work,
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
    """Writes the domain module and the interface of a hosted model, both or neither.

    Returns:
        The module's manifest.
    """
    d_abi = correction.module.d_abi
    entry = work.library.store_hosted(
        name, tensors_of(correction.module), tensors_of(correction.interface),
        backbone=backbone, domain=domain, d_abi=d_abi, taps=correction.taps,
        made=made, results=results, parents=parents or {}, replace=replace,
    )  # fmt: skip
    if replace:
        _remove_gate(work, name, backbone, d_abi)
    return entry.manifest


def _remove_gate(work: Work, name: str, backbone: Backbone, d_abi: int) -> None:
    """Removes the gate of a module that was replaced: it was fitted to another z."""
    gate = work.library.get("gate", name, backbone.name, d_abi)
    if gate is None:
        return
    work.library.remove(gate)
    work.reporter.warn(f"the gate of {name}@{backbone.name} is gone with what it was fitted to")


def store_bridge(
    work: Work,
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
    entry = work.library.store(
        "bridge", name, tensors_of(interface), backbone=backbone, domain=domain,
        d_abi=interface.d_abi, taps=interface.taps, replace=replace, **facts,
    )  # fmt: skip
    return str(entry.path)


def tensors_of(module: Any) -> Mapping[str, Tensor]:
    """A module's tensors, detached."""
    return {name: tensor.detach() for name, tensor in module.state_dict().items()}
