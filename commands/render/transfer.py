"""The evidence of one move as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from commands.output import table
from commands.render.ceiling import add_ceiling
from commands.render.moved_change import add_moved_change
from transplant.pictures.shares import bounds_text, share_in, share_text
from transplant.pictures.systems import NOTES, OTHER_DOMAIN

if TYPE_CHECKING:
    from rich.table import Table


def transfer_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    shown = systems_table(report["donor"], report, NOTES)
    add_share(shown, report, "donor", report["best_donor_free"])
    add_share(shown, report, "module", report["best_module_free"])
    shown.add_row("NIB against native", "", nib_verdict(report["nib"]), "", nib_line(report["nib"]))
    same = report["module_sha256"]["donor"] == report["module_sha256"]["target"]
    shown.add_row("module bytes", "", "identical" if same else "[red]CHANGED[/red]", "", "")
    add_moved_change(shown, report)
    shown.caption = caption_of(report)
    add_ceiling(shown, report)
    return shown


def caption_of(report: dict[str, Any]) -> str | None:
    """Why there is no ceiling, or what one has cost that was trained on the way."""
    seconds: dict[str, float] = report.get("seconds", {})
    cost = None
    if trained := seconds.get("train_native"):
        cost = f"training the native took {trained:.0f} of {sum(seconds.values()):.0f} s; "
        cost += "--native none leaves it out"
    return "\n".join(filter(None, (report.get("no_ceiling"), cost))) or None


def systems_table(moved: str, report: dict[str, Any], notes: Mapping[str, str]) -> Table:
    """The raw target, the native, the candidate and every control, a line each.

    Args:
        moved: what was moved.
        report: of the move.
        notes: what each system is, by name; what has none is another domain's module.
    """
    shown = table(f"{moved} -> {report['name']}", "", "perplexity", "recovered", "95 %", "")
    shown.columns[-1].justify, shown.columns[-1].no_wrap = "left", False  # the one that may shrink
    intervals = report["intervals"]["recovered"]
    for system, ppl in report["ppl"].items():
        shown.add_row(
            f"[bold]{system}[/bold]" if system == "candidate" else system,
            f"{ppl:.2f}",
            share_in(report["recovered"], system),
            bounds_text(intervals.get(system)),
            f"[dim]{notes.get(system, OTHER_DOMAIN)}[/dim]",
        )
    shown.add_section()
    return shown


def add_share(shown: Table, report: dict[str, Any], share: str, best: str) -> None:
    """A line of what of the recovered is the donor's, or the module's, beside the best control."""
    shown.add_row(
        f"{share}-attributable",
        "",
        share_text(report[f"{share}_attributable"]),
        bounds_text(report["intervals"][f"{share}_attributable"]),
        f"[dim]candidate minus {best}[/dim]",
    )


def nib_verdict(nib: dict[str, Any]) -> str:
    """One word."""
    return "not run" if nib["pass"] is None else str(nib["verdict"])


def nib_line(nib: dict[str, Any]) -> str:
    """The four numbers on one line."""
    if nib["pass"] is None:
        return f"[dim]{nib['why']}[/dim]"
    numbers = ", ".join(f"{name} {nib[name]:.3f}" for name in ("top5", "top1", "js", "entropy"))
    return f"[dim]{numbers}[/dim]"
