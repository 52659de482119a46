"""A gate and what it spares, as a table."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import kept_text
from transplant.tables.table import Table


def gate_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    shown = Table(f"gate of {report['name']} (held out)", "", "raw", "ungated", "gated")
    for text, row in report["ppl"].items():
        label = report["general"] if text == "general" else "its domain"
        shown.add(label, *(f"{row[system]:.2f}" for system in ("raw", "ungated", "gated")))
    shown.note(
        f"of the gain kept: {kept_text(report['kept'])}; general text worsens by "
        f"{report['general_worsens']:.2f} %, by {report['general_worsens_ungated']:.1f} % ungated; "
        f"memory {report['memory']:g}"
    )
    return shown
