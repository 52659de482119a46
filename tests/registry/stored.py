"""Artifacts that the tests of a store write, and the files found on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from registry import Entry, Manifest, Registry

Make = Callable[..., Manifest]


WEIGHTS = {"w1": torch.arange(6.0).reshape(2, 3), "b1": torch.ones(3, dtype=torch.bfloat16)}


OTHER = {"w1": torch.full((2, 3), 7.0)}


def files_under(folder: Path) -> dict[str, bytes]:
    """Every file's bytes by relative path, the lock left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def ship(store: Registry, make: Make, **fields: object) -> Entry:
    """Put an artifact where the package's own are."""
    Registry(store.reference, store.root / "nowhere").write(make(**fields), WEIGHTS)
    (store.reference / ".lock").unlink(missing_ok=True)
    return next(entry for entry in store.entries() if entry.shipped)
