"""Whether a backbone is the one that an artifact, or its own manifest, says that it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transplant.backbones.identity import difference
from transplant.errors import CorruptError

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.library import Fingerprints, StoredArtifact

UNRECORDED = "was stored before configurations had fingerprints: its configuration is not compared"


def check_promised(
    promised: Fingerprints, backbone: Backbone, made: Mapping[str, Any] | None = None
) -> None:
    """Refuses a folder that is no longer what its manifest says.

    Args:
        promised: what it says.
        backbone: as it was loaded.
        made: how it came into the library; of one that was added by reference the hint adds again.

    Raises:
        CorruptError: other weights, another tokenizer or another configuration.
    """
    if differing := difference(promised, backbone):
        what, expected, found = differing
        raise CorruptError(
            f"the {what} of {backbone.name} {_is(what)} of its manifest",
            expected=f"sha256 {expected[:12]}",
            found=found[:12],
            hint=_again(backbone.name, (made or {}).get("added", {})),
        )
    _note(promised, backbone, backbone.name)


def check_same(stored: StoredArtifact, backbone: Backbone, made: str, hint: str) -> None:
    """Refuses what belongs to a backbone of that name, but to another one than this.

    Args:
        stored: the artifact.
        backbone: what it is put to work on.
        made: how it came to its backbone, as "the gate of X was fitted to".
        hint: what to do.

    Raises:
        CorruptError: other weights, another tokenizer or another configuration.
    """
    if differing := difference(stored.backbone, backbone):
        what, expected, found = differing
        raise CorruptError(
            f"{made} {'other' if what == 'weights' else 'another'} {what}",
            expected=f"backbone {what} {expected[:12]}",
            found=found[:12],
            hint=hint,
        )
    _note(stored.backbone, backbone, f"a part of what works on {backbone.name}")


def _again(name: str, added: Mapping[str, str | None]) -> str:
    if added.get("by") == "reference":
        folder = added.get("path")
        return (
            f"restore the files of {folder}, or `rm({name!r})` and `add({folder!r}, name={name!r})`"
        )
    return "restore the file, or reinstall the package that the backbone ships with"


def _is(what: str) -> str:
    return "are not those" if what == "weights" else "is not that"


def _note(record: Fingerprints, backbone: Backbone, what: str) -> None:
    """Once for a backbone: a library prints nothing, its caller may."""
    if record.config_sha256 is None and not any(UNRECORDED in note for note in backbone.notes):
        backbone.notes.append(f"{what} {UNRECORDED}")
