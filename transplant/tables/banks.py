"""Banks of pieces as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transplant.tables.table import Table, prose


def extracted_table(report: Mapping[str, Any]) -> Table:
    """The pieces that were taken out of a backbone."""
    shown = Table(f"bank {report['name']}  (from {report['backbone']})", "piece", "parameters")
    for piece, parameters in report["sizes"].items():
        shown.add(piece, f"{parameters:,}")
    return shown


def bank_table(report: Mapping[str, Any]) -> Table:
    """The pieces of a bank, with the hash and the shapes of each."""
    origin = f"from {report['backbone']['id']}, sha256 {report['sha256'][:12]}"
    title = f"bank {report['name']}  ({origin})"
    shown = Table(title, "piece", "parameters", "sha256", prose("tensors"))
    for piece in report["pieces"]:
        shapes = ", ".join(f"{key} {'x'.join(map(str, s))}" for key, s in piece["tensors"].items())
        shown.add(piece["piece"], f"{piece['parameters']:,}", piece["sha256"][:12], shapes)
    return shown
