"""Paths in the place of a backbone's name."""

from __future__ import annotations

from pathlib import Path

from transplant.errors import BackboneError
from transplant.files.gguf import is_gguf
from transplant.files.plain import expand


def check_path(source: str) -> None:
    """Refuses a path that leads to no folder; what is written as no path passes.

    Raises:
        BackboneError: it says how a file of GGUF is taken in.
    """
    folder = expand(source)
    if source.startswith((".", "/", "~")) and not folder.is_dir():
        raise BackboneError(f"no such backbone folder: {source}", hint=way_in(folder))


def way_in(path: Path) -> str | None:
    """What to do with a GGUF file that is there, but is no folder."""
    return f"`add({str(path)!r}, name='NAME')`" if path.is_file() and is_gguf(path) else None
