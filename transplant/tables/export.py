"""The table of an export."""

from __future__ import annotations

from typing import Any

from transplant.tables.table import Table


def export_table(report: dict[str, Any]) -> Table:
    """What was written, and how far it is from what was loaded."""
    shown = Table(f"{report['name']} as {report['form']} -> {report['out']}", "", "")
    for file in report["files"]:
        shown.add(file, "")
    shown.add("bytes", f"{report['bytes']:,}")
    shown.add("largest difference of logits", f"{report['logits']:.1e}")
    if report.get("merges") is False:
        shown.add("merges", "no: it adds a constant, and the head has no bias")
    if "pushed" in report:
        shown.add("sent to", report["pushed"]["url"])
    for name, text in report["licenses"].items():
        shown.add(f"licence of {name}", text)
    shown.add("seconds", f"{report['seconds']:.1f}")
    return shown
