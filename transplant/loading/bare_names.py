"""Bare names of hosted models: `python` for `python@ref-gpt2`, where that is the one there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from transplant.backbones.hub_ids import can_be_hub_id
from transplant.errors import InputError, NotFoundError, TransplantError
from transplant.files.plain import expand
from transplant.library import HostedName

if TYPE_CHECKING:
    from transplant.library import Library

NOT_HOSTED = frozenset({"backbone", "interface", "gate"})
"""Kinds of artifacts that no name of a hosted model stands for alone."""


def full_name(name: HostedName, library: Library) -> HostedName:
    """A name with its backbone, where it is bare and one thing of that name is hosted.

    A backbone of the library and whatever stands at that path come first: they stay as they are,
    and so does what the library has never heard of, which may be a hub id.

    Args:
        name: as it was typed, in parts.
        library: where it is looked up.

    Raises:
        InputError: that name is hosted on several backbones.
    """
    if name.module is not None or "/" in name.backbone or "\\" in name.backbone:
        return name
    if expand(name.backbone).exists() or _is_backbone(name.backbone, library):
        return name
    hosts = sorted({*_hosts(name, library)})
    if len(hosts) > 1:
        full = [str(HostedName(name.backbone, host, name.d_abi)) for host in hosts]
        raise InputError(
            f"{name} is hosted on several backbones", expected=f"one of {', '.join(full)}",
            found=str(name), hint=f"the full name, as {full[0]}",
        )  # fmt: skip
    return HostedName(name.backbone, hosts[0], name.d_abi) if hosts else name


def refuse_unknown(backbone: str, library: Library) -> None:
    """Refuses a bare word that is no backbone of a library, no folder and no id of a hub.

    Args:
        backbone: a name that the library has no backbone of.
        library: whose names are offered instead.

    Raises:
        NotFoundError: naming what is close to it.
    """
    if "\\" in backbone or expand(backbone).exists() or can_be_hub_id(backbone):
        return
    try:
        library.find("backbone", backbone)
    except NotFoundError as missing:
        raise NotFoundError(
            missing.what, found=missing.found, hint=missing.hint,
            expected="a name of the registry, a folder, or a hub id as owner/model",
        ) from None  # fmt: skip


def _is_backbone(name: str, library: Library) -> bool:
    try:
        return library.holds_backbone(name)
    except TransplantError:  # no name of a library: whoever loads it says so
        return True


def _hosts(name: HostedName, library: Library) -> Iterator[str]:
    """The backbones that host something of a bare name; modules inside cores count."""
    for entry in library.entries():
        manifest = entry.manifest
        inside = manifest.made.get("modules", {}) if manifest.kind == "backbone" else {}
        if name.backbone in inside:
            yield manifest.name
        fits = name.d_abi is None or name.d_abi == (manifest.d_abi or 0)
        if manifest.kind not in NOT_HOSTED and manifest.name == name.backbone and fits:
            yield manifest.backbone.id
