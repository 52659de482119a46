"""The evidence of one move as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transplant.tables.ceiling import add_ceiling
from transplant.tables.moved_change import add_moved_change
from transplant.tables.shares import bounds_text, share_in, share_text
from transplant.tables.systems import NOTES, OTHER_DOMAIN
from transplant.tables.table import Table, prose
from transplant.tables.words import Marked, Words, bad, call, faint, strong


def transfer_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    shown = systems_table(report["donor"], report, NOTES)
    add_share(shown, report, "donor", report["best_donor_free"])
    add_share(shown, report, "module", report["best_module_free"])
    shown.add("NIB against native", "", nib_verdict(report["nib"]), "", nib_line(report["nib"]))
    same = report["module_sha256"]["donor"] == report["module_sha256"]["target"]
    shown.add("module bytes", "", "identical" if same else bad("CHANGED"))
    add_moved_change(shown, report)
    shown.note(*notes_of(report))
    add_ceiling(shown, report)
    return shown


def notes_of(report: dict[str, Any]) -> Iterator[Words]:
    """Why there is no ceiling, or what one has cost that was trained on the way."""
    if "no_ceiling" in report:
        yield report["no_ceiling"]
    seconds: dict[str, float] = report.get("seconds", {})
    if trained := seconds.get("train_native"):
        cost = f"training the native took {trained:.0f} of {sum(seconds.values()):.0f} s; "
        yield (cost, call("native='none'"), " leaves it out")


def systems_table(moved: str, report: dict[str, Any], notes: Mapping[str, str]) -> Table:
    """The raw target, the native, the candidate and every control, a line each.

    Args:
        moved: what was moved.
        report: of the move.
        notes: what each system is, by name; what has none is another domain's module.
    """
    shown = Table(f"{moved} -> {report['name']}", "", "perplexity", "recovered", "95 %", prose(""))
    bounds = report["interval"]["recovered"]
    for system, ppl in report["ppl"].items():
        shown.add(
            strong(system) if system == "candidate" else system,
            f"{ppl:.2f}",
            share_in(report["recovered"], system),
            bounds_text(bounds.get(system)),
            faint(notes.get(system, OTHER_DOMAIN)),
        )
    shown.end_section()
    return shown


def add_share(shown: Table, report: dict[str, Any], share: str, best: str) -> None:
    """A line of what of the recovered is the donor's, or the module's, beside the best control."""
    shown.add(
        f"{share}-attributable",
        "",
        share_text(report[f"{share}_attributable"]),
        bounds_text(report["interval"][f"{share}_attributable"]),
        faint(f"candidate minus {best}"),
    )


def nib_verdict(nib: dict[str, Any]) -> str:
    """One word."""
    return "not run" if nib["pass"] is None else str(nib["verdict"])


def nib_line(nib: dict[str, Any]) -> Marked:
    """The four numbers on one line."""
    if nib["pass"] is None:
        return faint(nib["why"])
    numbers = ", ".join(f"{name} {nib[name]:.3f}" for name in ("top5", "top1", "js", "entropy"))
    return faint(numbers)
