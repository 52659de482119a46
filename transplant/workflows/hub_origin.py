"""The hub that a backbone of the library came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transplant.workflows.work import Work


@dataclass(frozen=True)
class HubOrigin:
    """A model on a hub, and the commit that was added of it."""

    id: str
    revision: str | None


def hub_origin(work: Work, backbone: str) -> HubOrigin | None:
    """The hub id that a backbone was added from; None where it was a folder, or is not held.

    Args:
        work: the setting.
        backbone: its name in the library.
    """
    if not work.library.holds_backbone(backbone):
        return None
    added = work.library.find("backbone", backbone).manifest.made.get("added")
    if not isinstance(added, Mapping) or not isinstance(hub := added.get("hub"), str):
        return None
    revision = added.get("revision")
    return HubOrigin(hub, revision if isinstance(revision, str) else None)
