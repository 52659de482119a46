"""A calibration as a table."""

from __future__ import annotations

from typing import Any

from transplant.tables.moved_change import moved_lines
from transplant.tables.table import Column, Table
from transplant.tables.words import call


def calibrated_table(report: dict[str, Any]) -> Table:
    """The report as a table."""
    # Of synthetic text there is more to say than a line holds.
    shown = Table(f"calibrated {report['name']}", "", Column("", right=True, wraps=True))
    shown.add("objective", report["objective"])
    shown.add("from", ", ".join(report["needs"]))
    for key in ("bridge", "gain", "shared_tokens", "token_coverage"):
        if key in report:
            shown.add(key.replace("_", " "), _value(report[key]))
    for title, said in moved_lines(report):
        shown.add(title, said)
    if learned := report.get("learned"):
        shown.add("steps", f"{learned['steps_taken']}, the best at {learned['best_step']}")
    shown.add("seconds", f"{sum(report['seconds'].values()):.1f}")
    anchor = (report.get("learned") or {}).get("anchor") or f"NATIVE@{report['target']}"
    shown.add("next", call(f"nib(anchor={anchor!r}, candidate={report['name']!r})"))
    return shown


def _value(value: str | float) -> str:
    """A word as it is, a count whole, any other number to three digits."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value
