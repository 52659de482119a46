"""A trace as a ranking in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table
from transplant.pictures.heat_map import interval_text
from transplant.pictures.trace import notes_of, part_text

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

SHOWN = 20  # targets of a ranking; the file has all of them


def trace_view(report: dict[str, Any]) -> Group:
    """The ranking, what its numbers mean, and where the rest is."""
    from rich.console import Group
    from rich.text import Text

    ranking = _patching(report) if report["mode"] == "patching" else _ablation(report)
    lines = [*notes_of(report), *report.get("files", ())]
    left = len(report["targets"]) - SHOWN
    if left > 0 and "files" not in report:
        lines.append(f"{left} more with --json or --out FOLDER")
    return Group(ranking, *(Text(line) for line in lines))


def _ablation(report: dict[str, Any]) -> Table:
    title = f"{report['model']}  {report['metric']} without the target ({report['intervention']})"
    shown = table(title, "target", "", "effect", "95 %")
    for number, row in enumerate(report["targets"][:SHOWN], 1):
        mark = "" if row["measured"] else "~ "
        shown.add_row(
            row["target"], str(number), f"{mark}{row['effect']:+.4f}",
            interval_text(row["interval"]),
        )  # fmt: skip
    return shown


def _patching(report: dict[str, Any]) -> Table:
    title = f"{report['model']}  {report['metric']}, clean and corrupted values swapped"
    shown = table(title, "target", "", "noising", "share", "denoising", "share")
    for number, row in enumerate(report["targets"][:SHOWN], 1):
        shown.add_row(
            row["target"], str(number), f"{row['noising']:+.3f}", part_text(row["noising_share"]),
            f"{row['denoising']:+.3f}", part_text(row["denoising_share"]),
        )  # fmt: skip
    return shown
