"""Tables of BASIS."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from commands.output import table


def fit_table(report: dict[str, Any]) -> Table:
    """What was fitted: for each type of map, how few directions hold its energy."""
    shown = table(
        f"{report['name']}: {report['maps']} maps, {report['rows']:,} rows of {report['corpus']}",
        "map", "count", "width", "rank of 90 %", "of 99 %",
    )  # fmt: skip
    for kind, row in report["types"].items():
        ranks = (f"{row[key]:.0f}" for key in ("rank_90", "rank_99"))
        shown.add_row(kind, f"{row['maps']}", f"{row['width']}", *ranks)
    shown.caption = f"{report['directions']:,} directions kept, {report['seconds']:.1f} s"
    return shown
