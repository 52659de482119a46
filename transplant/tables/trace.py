"""A trace as a ranking in a table."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import bounds_text
from transplant.tables.table import Sheet, Table
from transplant.tables.words import Words, call

SHOWN = 20  # targets of a ranking; the file has all of them


def trace_sheet(report: dict[str, Any]) -> Sheet:
    """The first of the ranking, what its numbers mean, and where the rest is."""
    lines: list[Words] = [*notes_of(report), *report.get("files", ())]
    left = len(report["targets"]) - SHOWN
    if left > 0 and "files" not in report:
        lines.append((f"{left} more with ", call("json=True"), " or ", call("out='FOLDER'")))
    return Sheet(targets_table(report, SHOWN), *lines)


def targets_table(report: dict[str, Any], most: int | None = None) -> Table:
    """The ranking of the targets.

    Args:
        report: of a trace.
        most: how many of them are shown; None: all.
    """
    return (_patching if report["mode"] == "patching" else _ablation)(report, most)


def _ablation(report: dict[str, Any], most: int | None) -> Table:
    title = f"{report['model']}  {report['metric']} without the target ({report['intervention']})"
    shown = Table(title, "target", "", "effect", "95 %")
    for number, row in enumerate(report["targets"][:most], 1):
        mark = "" if row["measured"] else "~ "
        shown.add(
            row["target"], str(number), f"{mark}{row['effect']:+.4f}",
            interval_text(row["interval"]),
        )  # fmt: skip
    return shown


def _patching(report: dict[str, Any], most: int | None) -> Table:
    title = f"{report['model']}  {report['metric']}, clean and corrupted values swapped"
    shown = Table(title, "target", "", "noising", "share", "denoising", "share")
    for number, row in enumerate(report["targets"][:most], 1):
        shown.add(
            row["target"], str(number), f"{row['noising']:+.3f}", part_text(row["noising_share"]),
            f"{row['denoising']:+.3f}", part_text(row["denoising_share"]),
        )  # fmt: skip
    return shown


def notes_of(report: dict[str, Any]) -> list[str]:
    """Lines on how the numbers of a report came to be."""
    lines = [f"{report['sign']}; in {report['unit']}"]
    if report["mode"] == "patching":
        lines.append(
            f"{report['count']} pairs, {report['left_out']} left out; the corrupted text alone "
            f"costs {report['total']:.3f}"
        )
        lines.append(
            "noising: the corrupted value in the clean text; denoising: the clean value in the "
            "corrupted text"
        )
    else:
        lines.append(
            f"{report['documents']} documents of {report['data']}, {report['predicted']:,} "
            f"predicted tokens, {report['passes']} passes"
        )
    if "prefilter" in report:
        chosen = report["prefilter"]
        lines.append(
            f"atp: {chosen['measured']} of {len(report['targets'])} measured; rank agreement "
            f"{chosen['agreement']:.2f} on a sample of {chosen['sample']}; ~ is an estimate"
        )
    return lines


def part_text(share: dict[str, Any] | None) -> str:
    """A part of a whole with its bounds."""
    if share is None:
        return "no whole"
    return f"{share['share']:.2f} ({bounds_text(share['interval'], '.2f')})"


def interval_text(interval: list[float] | None) -> str:
    """The bounds of an effect; nothing where there are none."""
    return "" if interval is None else f"{interval[0]:+.4f} .. {interval[1]:+.4f}"
