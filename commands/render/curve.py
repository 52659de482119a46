"""A budget curve as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table
from transplant.evaluation.curve import CURVES
from transplant.pictures.curve import crossing_text
from transplant.pictures.shares import bounds_text, share_text

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def curve_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    shown = table(f"{report['donor']} -> {report['target']}: recovered", "tokens", *CURVES)
    for number, budget in enumerate(report["budgets"]):
        points = [report["curves"][name][number] for name in CURVES]
        shown.add_row(f"{budget:,}", *(point_text(point) for point in points))
    shown.caption = crossing_text(report)
    return shown


def curve_view(report: dict[str, Any]) -> Group:
    """The table, and where the plot is."""
    from rich.console import Group

    return Group(curve_table(report), f"\nthe plot: {report['files'][1]}")


def point_text(point: dict[str, Any]) -> str:
    """A value and its interval."""
    text = share_text(point["recovered"])
    return text if point["interval"] is None else f"{text} ({bounds_text(point['interval'])})"
