"""The evidence of a move of a fine-tune as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table
from commands.render.sources import recovered_text
from commands.render.transfer import NOTES

if TYPE_CHECKING:
    from rich.table import Table

OWN = {
    "equal_norm": "donor-free: the donor's change under a random rotation",
    "shuffled_pairs": "donor-free: pairs that do not belong together",
    "donor_alone": "log ratio of the base, without what it learned",
}


def tuned_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    shown = table(
        f"{report['tuned']} -> {report['name']}", "", "perplexity", "recovered", "95 %", ""
    )
    shown.columns[-1].justify, shown.columns[-1].no_wrap = "left", False  # the one that may shrink
    notes = {**NOTES, **OWN, "candidate": f"the student {report['student']}"}
    intervals = report["intervals"]["recovered"]
    for system, ppl in report["ppl"].items():
        shown.add_row(
            f"[bold]{system}[/bold]" if system == "candidate" else system,
            f"{ppl:.2f}",
            recovered_text(report["recovered"].get(system, "")),
            _bounds(intervals.get(system)),
            f"[dim]{notes.get(system, '')}[/dim]",
        )
    shown.add_section()
    shown.add_row(
        "donor-attributable", "", recovered_text(report["donor_attributable"]),
        _bounds(report["intervals"]["donor_attributable"]),
        f"[dim]candidate minus {report['best_donor_free']}[/dim]",
    )  # fmt: skip
    for one in report["students"]:
        shown.add_row(
            f"student {one['student']}", "", "", "",
            f"[dim]{one['loss']:.4f} nats per token to calibrate on, gain {one['gain']:g}[/dim]",
        )  # fmt: skip
    shown.caption = report.get("no_ceiling")
    return shown


def _bounds(bounds: list[float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.3f} .. {bounds[1]:.3f}"
