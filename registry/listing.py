"""Rows of what a registry holds: names, dates, sizes, and what was recovered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from registry.entry import MANIFEST, Entry
from registry.manifest import KINDS
from registry.names import backbone_key
from transplant.errors import InputError
from transplant.library import difference

PARTS = ("interface", "gate")
"""Kinds that are listed with the module of their name."""
PLURALS = {**{f"{kind}s": kind for kind in KINDS}, "bases": "basis", "tokens": "tokens"}


def kind_named(word: str | None) -> str | None:
    """The kind that a word names, in the singular or the plural; None for none.

    Raises:
        InputError: naming the kinds that there are.
    """
    if word is None or word in KINDS:
        return word
    if word in PLURALS:
        return PLURALS[word]
    raise InputError("`kind`", expected=f"one of {', '.join(KINDS)}", found=repr(word))


def artifact_rows(entries: Sequence[Entry], backbones: Iterable[Entry]) -> list[dict[str, Any]]:
    """A row for each artifact; interface and gate of a module that is among them are in its own.

    Args:
        entries: what is listed.
        backbones: all that the registry knows: other names of the same weights are told.
    """
    held = [entry.manifest for entry in backbones]
    parts: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        if entry.kind in PARTS:
            parts.setdefault(_place(entry), []).append(entry)
    rows = []
    for entry in entries:
        if entry.kind not in PARTS:
            with_it = parts.pop(_place(entry), []) if entry.kind == "module" else []
            rows.append(_row(entry, with_it, held))
    alone = [entry for left in parts.values() for entry in left]
    return [*rows, *(_row(entry, [], held) for entry in alone)]


def _place(entry: Entry) -> tuple[object, ...]:
    manifest = entry.manifest
    return backbone_key(manifest.backbone.id), manifest.d_abi, manifest.name, entry.shipped


def _row(entry: Entry, with_it: Sequence[Entry], held: Sequence[Any]) -> dict[str, Any]:
    manifest = entry.manifest
    recovered = manifest.results.get("recovered")
    share = recovered.get("candidate") if isinstance(recovered, dict) else None
    return {
        "name": manifest.name,
        "hosted": manifest.hosted,
        "kind": manifest.kind,
        "with": [part.kind for part in with_it],
        "backbone": manifest.backbone.id,
        "d_abi": manifest.d_abi,
        "domain": manifest.domain,
        "recovered": share if isinstance(share, int | float) else None,
        "date": _date(entry),
        "bytes": sum(map(_bytes, (entry, *with_it))),
        "path": str(entry.path),
        "shipped": entry.shipped,
        "also_on": [
            other.name
            for other in held
            if other.name != manifest.backbone.id
            and difference(other.backbone, manifest.backbone) is None
        ],
    }


def _date(entry: Entry) -> str | None:
    """When the manifest was written, in UTC; None where it cannot be told."""
    try:
        seconds = (entry.path / MANIFEST).stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _bytes(entry: Entry) -> int:
    """The files of its own folder; of a backbone not those of what is hosted on it."""
    try:
        return sum(file.stat().st_size for file in entry.home.iterdir() if file.is_file())
    except OSError:
        return 0
