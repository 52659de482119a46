"""The facts of a file of activations, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table

if TYPE_CHECKING:
    from rich.table import Table


def capture_table(report: dict[str, Any]) -> Table:
    """One line for each fact."""
    shown = table(report["file"], "", "")
    shown.columns[1].justify = "left"
    for key, value in report.items():
        if key not in ("file", "made"):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            shown.add_row(key.replace("_", " "), text)
    return shown
