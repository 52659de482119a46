"""Systems that can write text: backbones of a library, and what is hosted on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transplant.library import Entry, Manifest

HOSTED = ("module", "injection", "adapter", "linear", "fusion")
"""Kinds that are loaded by the name of a hosted model."""


@dataclass(frozen=True)
class System:
    """One that is loaded by name."""

    name: str
    """As it is loaded: `python@ref-gpt2/d128`, or the backbone's own."""
    role: str
    """`raw`, `native`, `moved`, or the kind of what is neither."""


def backbones_of(entries: Sequence[Entry]) -> list[str]:
    """The names of the backbones that are held, or that something is hosted on."""
    held = (one.manifest.name for one in entries if one.manifest.kind == "backbone")
    others = (one.manifest.backbone.id for one in entries if one.manifest.kind in HOSTED)
    return [*dict.fromkeys((*held, *others))]


def systems_on(entries: Sequence[Entry], backbone: str) -> list[System]:
    """The backbone itself, and everything that can be hosted on it."""
    found = [System(backbone, "raw")]
    for one in entries:
        manifest = one.manifest
        if manifest.kind == "backbone" and manifest.name == backbone:
            inside = manifest.made.get("modules", {})  # of a core
            found += [System(f"{name}@{backbone}", "native") for name in inside]
        elif manifest.kind in HOSTED and manifest.backbone.id == backbone:
            found.append(System(one.hosted, role_of(manifest)))
    return found


def role_of(manifest: Manifest) -> str:
    """Whether a module was trained where it is, or moved there; of others the kind."""
    if manifest.kind != "module":
        return manifest.kind
    return "moved" if "module" in manifest.parents else "native"
