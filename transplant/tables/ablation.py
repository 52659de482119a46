"""Ablations of a move as tables: objectives and controls, shapes, the ceiling."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import bounds_text, share_text
from transplant.tables.table import Table


def shapes_table(report: dict[str, Any]) -> Table:
    """The rows as one table."""
    shown = Table(
        f"shapes: {report['donor']} -> {report['target']}",
        "shape", "seed", "native", "recovered", "95 %", "random", "surrogate", "module-a.", "R2",
    )  # fmt: skip
    for row in report["rows"]:
        shown.add(
            row["shape"], str(row["seed"]), f"{row['ppl']['native']:.2f}",
            share_text(row["recovered"]["candidate"]),
            bounds_text(row["interval"]),
            share_text(row["recovered"]["random_module"]),
            share_text(row["recovered"]["linear_surrogate"]),
            share_text(row["module_attributable"]), f"{row['r2']:.3f}",
        )  # fmt: skip
    reasons = {
        f"{row['shape']}, seed {row['seed']}: {row['no_ceiling']}"
        for row in report["rows"] if "no_ceiling" in row
    }  # fmt: skip
    shown.note(*sorted(reasons))
    return shown


def ablation_table(report: dict[str, Any]) -> Table:
    """The means as one table."""
    shown = Table(
        f"{report['ablation']}: {report['donor']} -> {report['target']}",
        "objective", "from", "module", "recovered", "95 %", "ppl", "top-5", "JS", "NIB", "seconds",
    )  # fmt: skip
    last = None
    for row in report["means"]:
        if last not in (None, row["module"]):
            shown.end_section()
        last = row["module"]
        nib = row.get("nib")
        words = ("", "", "not run")
        if nib:
            passed = f"{nib['passed']}/{len(row['seeds'])}"
            words = (f"{nib['top5']:.3f}", f"{nib['js']:.4f}", passed)
        shown.add(
            row["objective"], row["from"], row["module"], share_text(row["recovered"]),
            bounds_text(row["interval"]), f"{row['ppl']:.2f}", *words, f"{row['seconds']:.1f}",
        )  # fmt: skip
    shown.note(report.get("no_ceiling"))
    return shown


def ceiling_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    shown = Table(
        f"{report['donor']} beside {report['target']}",
        "added", "elsewhere", "raw weight", "gain", "recovered", "95 %", "ppl",
    )  # fmt: skip
    for row in report["rows"]:
        ways = ("", "", "")
        if "added" in row:
            ways = (row["elsewhere"], f"{row['donor_word']:g}", f"{row['gain']:g}")
        shown.add(
            row.get("added", row["name"]), *ways, share_text(row["recovered"]),
            bounds_text(row["interval"]), f"{row['ppl']:.2f}",
        )  # fmt: skip
    share = report["paired_share"]
    shown.note(f"the donor predicts at {share:.0%} of the tokens", report.get("no_ceiling"))
    return shown
