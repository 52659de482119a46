"""Bridges in the registry: trained ones, and maps between two layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.backbones.identity import difference
from transplant.errors import CorruptError, InputError, foreign
from transplant.library import KnownBackbone
from transplant.surgery.inject.config import InjectConfig

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.library import Entry
    from transplant.surgery.inject.fit import InwardFit
    from transplant.workflows.inject.injection import Injection
    from transplant.workflows.work import Work


def find_bridge(work: Work, name: str, to: str) -> Entry:
    """A bridge into the backbone `to` that belongs to no shared space."""
    return work.find(f"{name}@{to}/d0", "bridge")


def inject_config(work: Work, to: str, bridge: str | None, **given: Any) -> InjectConfig:
    """The settings that were given; gate and specialists are a stored bridge's own."""
    chosen = {key: value for key, value in given.items() if value is not None}
    if bridge is not None:
        record = find_bridge(work, bridge, to).manifest.made.get("injection", {})
        for key in ("gate", "mixture"):
            if key in record:
                chosen.setdefault(key, record[key])
    return InjectConfig(**chosen)


def stored_bridge(injection: Injection, name: str) -> dict[str, Tensor]:
    """The tensors of a bridge that was trained for this very injection.

    Raises:
        InputError: it was trained for another one.
        CorruptError: it was trained on another target of that name.
    """
    entry = find_bridge(injection.work, name, injection.to)
    made, parents = entry.manifest.made, entry.manifest.parents
    expected = {**injection.record.as_dict(), "bank sha256": injection.donor_part.bank.sha256}
    found = {**made.get("injection", {}), "bank sha256": parents.get("bank")}
    differing = {key: value for key, value in expected.items() if found.get(key) != value}
    if differing:
        raise InputError(
            f"bridge {name}@{injection.to} is for another injection",
            expected=differing, found={key: found.get(key) for key in differing},
        )  # fmt: skip
    if differing := difference(entry.manifest.backbone, injection.target):
        what, expected, found = differing
        raise CorruptError(
            f"bridge {name} was fitted to another {what} of {injection.to}",
            expected=expected[:12], found=found[:12], hint="`bridge_train()` it again",
        )  # fmt: skip
    return injection.work.library.read(entry)


def stored_inward(injection: Injection, name: str, donor_tap: str) -> InwardFit:
    """The map that `abi bridge-align --between` has stored, if it is between these layers.

    Raises:
        InputError: it is between others, or of other backbones.
    """
    from transplant.alignment.affine import AffineMap
    from transplant.surgery.inject.fit import InwardFit

    manifest = (entry := find_bridge(injection.work, name, injection.to)).manifest
    align, bank = manifest.made.get("align", {}), injection.donor_part.bank.backbone
    parents = manifest.parents
    read = KnownBackbone(
        name=bank.id, family="", d_model=0, weights_sha256=parents.get("to_backbone", ""),
        tokenizer_sha256=bank.tokenizer_sha256, config_sha256=parents.get("to_config"),
    )  # fmt: skip
    others = difference(manifest.backbone, injection.target) or difference(read, bank)
    with foreign(f"the record of {manifest.hosted}", CorruptError, expected="layers in `align`"):
        taps = tuple(str(align.get(side, ["", "nothing"])[1]) for side in ("from", "to"))
    expected = (f"{injection.place}.in", donor_tap)
    if taps != expected or others:
        of = f"of another {others[0]}" if others else "between other layers"
        raise InputError(
            f"{name}@{injection.to} is a map {of}",
            expected=" to ".join(expected),
            found=" to ".join(taps),
        )
    tensors = injection.work.library.read(entry)
    with foreign(f"the bridge {manifest.hosted}", CorruptError, expected="weight, bias, pairs, r2"):
        fitted = AffineMap(tensors["weight"], tensors["bias"])
        return InwardFit(fitted, manifest.results["pairs"], manifest.results["r2"])
