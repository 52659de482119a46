"""The table of an export."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from commands.output import table


def export_table(report: dict[str, Any]) -> Table:
    """What was written, and how far it is from what was loaded."""
    shown = table(f"{report['name']} as {report['form']} -> {report['out']}", "", "")
    for file in report["files"]:
        shown.add_row(file, "")
    shown.add_row("bytes", f"{report['bytes']:,}")
    shown.add_row("largest difference of logits", f"{report['logits']:.1e}")
    if report.get("merges") is False:
        shown.add_row("merges", "no: it adds a constant, and the head has no bias")
    if "pushed" in report:
        shown.add_row("sent to", report["pushed"]["url"])
    for name, text in report["licenses"].items():
        shown.add_row(f"licence of {name}", text)
    shown.add_row("seconds", f"{report['seconds']:.1f}")
    return shown
