"""The facts of a file of activations, as a table."""

from __future__ import annotations

from typing import Any

from transplant.tables.table import Table, left


def capture_table(report: dict[str, Any]) -> Table:
    """One line for each fact."""
    shown = Table(report["file"], "", left(""))
    for key, value in report.items():
        if key not in ("file", "made"):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            shown.add(key.replace("_", " "), text)
    return shown
