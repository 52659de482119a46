"""Minimal pairs as tables: those that were drawn, and how a model does on them."""

from __future__ import annotations

from typing import Any

from transplant.tables.table import Sheet, Table


def drawn_sheet(report: dict[str, Any]) -> Sheet:
    """The pairs by field, and where they are."""
    shown = Table("", report["task"], "pairs")
    for field, pairs in report["fields"].items():
        shown.add(field, f"{pairs:,}")
    said = f"{report['pairs']:,} of {report['possible']:,} possible pairs: {report['out']}"
    return Sheet(shown, f"\n{said}")


def accuracy_table(report: dict[str, Any]) -> Table:
    """Accuracy by field; with a baseline its own, the difference and the test."""
    against = "baseline" in report
    more = ("baseline", "gain", "95 %", "p") if against else ()
    title = f"{report['model']} against {report['baseline']}" if against else report["model"]
    shown = Table(title, "right, in %", "pairs", "model", "95 %", *more)
    rows = report["fields"] if len(report["fields"]) > 1 else {}
    for name, row in {**rows, "all": report}.items():
        cells = [f"{row['pairs']:,}", f"{100 * row['accuracy']:.1f}", _bounds(row, "accuracy")]
        if against:
            cells += [
                f"{100 * row['baseline_accuracy']:.1f}", f"{100 * row['difference']:+.1f}",
                _bounds(row, "difference"), _p_value(row["mcnemar"]["p"]),
            ]  # fmt: skip
        shown.add(name, *cells)
    return shown


def _bounds(row: dict[str, Any], name: str) -> str:
    low, high = row["interval"][name]
    return f"{100 * low:.1f} .. {100 * high:.1f}"


def _p_value(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}"
