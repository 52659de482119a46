"""The job of an analysis; no torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from transplant.analysis.config import AnalysisConfig


@dataclass(frozen=True, kw_only=True)
class AnalyzeJob:
    """What is analysed."""

    bank: str
    """A bank of pieces, of `extract()`: `NAME`, or `NAME@backbone`."""
    activations: Path
    """Of the same backbone: a file of `capture()`, of single positions."""
    against: Path | None = None
    """Activations of another backbone on the same text, whose layers are compared."""
    config: AnalysisConfig = field(default_factory=AnalysisConfig)
    """How much is read."""
    out: Path | None = None
    """A file for the catalog as JSON, for `advise(catalog=...)`."""
