"""Bridges in the registry: trained ones, and maps between two layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.backbones.identity import difference
from transplant.errors import CorruptError, InputError, foreign
from transplant.library import KnownBackbone
from transplant.surgery.inject.config import InjectConfig

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.backbones.view import Backbone
    from transplant.library import Entry, Manifest
    from transplant.surgery.inject.fit import InwardFit
    from transplant.surgery.inject.stored import InjectionRecord
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


def stored_bridge(
    work: Work, entry: Entry, record: InjectionRecord, bank: Manifest, target: Backbone
) -> dict[str, Tensor]:
    """The tensors of a bridge that was trained for this very injection.

    Args:
        work: whose library holds it.
        entry: the bridge.
        record: what the injection is.
        bank: the bank that its part is of.
        target: the backbone that it is put into.

    Raises:
        InputError: it was trained for another one.
        CorruptError: it was trained on another target of that name.
    """
    made, parents = entry.manifest.made, entry.manifest.parents
    expected = {**record.as_dict(), "bank sha256": bank.sha256}
    found = {**made.get("injection", {}), "bank sha256": parents.get("bank")}
    differing = {key: value for key, value in expected.items() if found.get(key) != value}
    if differing:
        raise InputError(
            f"bridge {entry.manifest.name}@{target.name} is for another injection",
            expected=differing, found={key: found.get(key) for key in differing},
        )  # fmt: skip
    if differing := difference(entry.manifest.backbone, target):
        what, expected, found = differing
        raise CorruptError(
            f"bridge {entry.manifest.name} was fitted to another {what} of {target.name}",
            expected=expected[:12], found=found[:12], hint="`bridge_train()` it again",
        )  # fmt: skip
    return work.library.read(entry)


def stored_inward(
    work: Work, entry: Entry, bank: Manifest, target: Backbone, taps: tuple[str, str]
) -> InwardFit:
    """The map between layers that is stored, if it is between these.

    Args:
        work: whose library holds it.
        entry: the map.
        bank: the bank of the donor's part.
        target: the backbone that the part is put into.
        taps: the target's, and the donor's.

    Raises:
        InputError: it is between others, or of other backbones.
    """
    from transplant.alignment.affine import AffineMap
    from transplant.surgery.inject.fit import InwardFit

    manifest, donor = entry.manifest, bank.backbone
    align, parents = manifest.made.get("align", {}), manifest.parents
    read = KnownBackbone(
        name=donor.id, family="", d_model=0, weights_sha256=parents.get("to_backbone", ""),
        tokenizer_sha256=donor.tokenizer_sha256, config_sha256=parents.get("to_config"),
    )  # fmt: skip
    others = difference(manifest.backbone, target) or difference(read, donor)
    with foreign(f"the record of {manifest.hosted}", CorruptError, expected="layers in `align`"):
        found = tuple(str(align.get(side, ["", "nothing"])[1]) for side in ("from", "to"))
    if found != taps or others:
        of = f"of another {others[0]}" if others else "between other layers"
        raise InputError(
            f"{manifest.name}@{target.name} is a map {of}",
            expected=" to ".join(taps),
            found=" to ".join(found),
        )
    tensors = work.library.read(entry)
    with foreign(f"the bridge {manifest.hosted}", CorruptError, expected="weight, bias, pairs, r2"):
        fitted = AffineMap(tensors["weight"], tensors["bias"])
        return InwardFit(fitted, manifest.results["pairs"], manifest.results["r2"])
