"""Minimal pairs as tables: those that were drawn, and how a model does on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def drawn_tables(report: dict[str, Any]) -> Group:
    """The pairs by field, and where they are."""
    from rich.console import Group
    from rich.markup import escape

    shown = table("", report["task"], "pairs")
    for field, pairs in report["fields"].items():
        shown.add_row(field, f"{pairs:,}")
    said = f"{report['pairs']:,} of {report['possible']:,} possible pairs: {report['out']}"
    return Group(shown, f"\n{escape(said)}")


def accuracy_table(report: dict[str, Any]) -> Table:
    """Accuracy by field; with a baseline its own, the difference and the test."""
    against = "baseline" in report
    more = ("baseline", "gain", "95 %", "p") if against else ()
    title = f"{report['model']} against {report['baseline']}" if against else report["model"]
    shown = table(title, "right, in %", "pairs", "model", "95 %", *more)
    rows = report["fields"] if len(report["fields"]) > 1 else {}
    for name, row in {**rows, "all": report}.items():
        cells = [f"{row['pairs']:,}", f"{100 * row['accuracy']:.1f}", _bounds(row, "accuracy")]
        if against:
            cells += [
                f"{100 * row['baseline_accuracy']:.1f}", f"{100 * row['difference']:+.1f}",
                _bounds(row, "difference"), _p_value(row["mcnemar"]["p"]),
            ]  # fmt: skip
        shown.add_row(name, *cells)
    return shown


def _bounds(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_interval"]
    return f"{100 * low:.1f} .. {100 * high:.1f}"


def _p_value(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}"
