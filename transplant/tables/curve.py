"""A budget curve as a table."""

from __future__ import annotations

from typing import Any

from transplant.evaluation.curve import CURVES
from transplant.tables.shares import bounds_text, share_text
from transplant.tables.table import Sheet, Table


def curve_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    shown = Table(f"{report['donor']} -> {report['target']}: recovered", "tokens", *CURVES)
    for number, budget in enumerate(report["budgets"]):
        points = [report["curves"][name][number] for name in CURVES]
        shown.add(f"{budget:,}", *(point_text(point) for point in points))
    shown.note(crossing_text(report))
    return shown


def curve_sheet(report: dict[str, Any]) -> Sheet:
    """The table, and where the plot is."""
    return Sheet(curve_table(report), f"\nthe plot: {report['files'][1]}")


def point_text(point: dict[str, Any]) -> str:
    """A value and its interval."""
    text = share_text(point["recovered"])
    return text if point["interval"] is None else f"{text} ({bounds_text(point['interval'])})"


def crossing_text(report: dict[str, Any]) -> str:
    """Where the native catches up, in words; or why nobody can say."""
    if "no_ceiling" in report:
        return str(report["no_ceiling"])
    tokens, most = report["crossing_tokens"], report["budgets"][-1]
    if tokens is None:
        return f"up to {most:,} tokens the native does not catch up"
    return f"the native catches up at about {float(f'{tokens:.2g}'):,.0f} tokens"
