"""Routing by uncertainty as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table
from transplant.pictures.route import RISKS

if TYPE_CHECKING:
    from rich.console import Group


def route_tables(report: dict[str, Any]) -> Group:
    """The threshold, what it does, and areas against random routing."""
    from rich.console import Group

    tau = "none: all is routed" if report["tau"] is None else f"{report['tau']:.4f} nats"
    how = "chosen on the other half" if report["chosen"] else "given"
    judged = report["judged"]
    shown = table(
        f"{report['model']} | {report['baseline']}  by {report['by'].replace('_', ' ')}",
        f"{judged['tokens']:,} tokens, {judged['documents']} documents", "",
    )  # fmt: skip
    shown.add_row("tau", f"{tau} ({how})")
    shown.add_row("coverage", f"{100 * report['coverage']:.1f} %")
    for name, nats in report["nats"].items():
        if nats is not None:
            shown.add_row(f"nats per token, {name}", f"{nats:.4f}")
    shown.add_row(f"regress, nats (budget {report['budget']:g})", _bounds(report["regress"]))
    gains = table("\narea under risk over coverage", "random less routed by uncertainty", "nats")
    for name, said in RISKS.items():
        gains.add_row(said, _bounds(report["areas"][name]))
    files = report.get("files", [])
    return Group(shown, gains, *(["\n" + "\n".join(files)] if files else []))


def _bounds(value: dict[str, float]) -> str:
    return f"{value['nats']:.4f} ({value['low']:.4f} .. {value['high']:.4f})"
