"""A calibration as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table
from commands.render.moved_change import moved_lines

if TYPE_CHECKING:
    from rich.table import Table


def calibrated_table(report: dict[str, Any]) -> Table:
    """The report as a table."""
    shown = table(f"calibrated {report['name']}", "", "")
    shown.columns[-1].no_wrap = False  # of synthetic text there is more to say than a line holds
    shown.add_row("objective", report["objective"])
    shown.add_row("from", ", ".join(report["needs"]))
    for key in ("bridge", "gain", "shared_tokens", "token_coverage"):
        if key in report:
            value = report[key]
            text = value if isinstance(value, str) else f"{value:.3g}"
            shown.add_row(key.replace("_", " "), text)
    for title, said in moved_lines(report):
        shown.add_row(title, said)
    if learned := report.get("learned"):
        shown.add_row("steps", f"{learned['steps_taken']}, the best at {learned['best_step']}")
    shown.add_row("seconds", f"{sum(report['seconds'].values()):.1f}")
    anchor = (report.get("learned") or {}).get("anchor") or f"NATIVE@{report['target']}"
    shown.add_row("next", f"abi nib --anchor {anchor} --candidate {report['name']}")
    return shown
