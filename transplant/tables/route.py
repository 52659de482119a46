"""Routing by uncertainty as tables."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import bounds_text
from transplant.tables.table import Sheet, Table

RISKS = {"selective": "of the tokens that it keeps", "routed": "of all tokens, routed"}


def route_sheet(report: dict[str, Any]) -> Sheet:
    """The threshold, what it does, and areas against random routing."""
    tau = "none: all is routed" if report["tau"] is None else f"{report['tau']:.4f} nats"
    how = "chosen on the other half" if report["chosen"] else "given"
    judged = report["judged"]
    shown = Table(
        f"{report['model']} | {report['baseline']}  by {report['by'].replace('_', ' ')}",
        f"{judged['tokens']:,} tokens, {judged['documents']} documents", "",
    )  # fmt: skip
    shown.add("tau", f"{tau} ({how})")
    shown.add("coverage", f"{100 * report['coverage']:.1f} %")
    for name, nats in report["nats"].items():
        if nats is not None:
            shown.add(f"nats per token, {name}", f"{nats:.4f}")
    shown.add(f"regress, nats (budget {report['budget']:g})", _bounds(report["regress"]))
    gains = Table("\narea under risk over coverage", "random less routed by uncertainty", "nats")
    for name, said in RISKS.items():
        gains.add(said, _bounds(report["areas"][name]))
    files = report.get("files", [])
    return Sheet(shown, gains, *(["\n" + "\n".join(files)] if files else []))


def _bounds(value: dict[str, Any]) -> str:
    return f"{value['nats']:.4f} ({bounds_text(value['interval'], '.4f')})"
