"""Uncertainty as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table
from transplant.pictures.uncertainty import AUROC, NAMES

if TYPE_CHECKING:
    from rich.table import Table


def uncertainty_table(report: dict[str, Any]) -> Table:
    """Means over tokens, calibration, and how well each uncertainty tells errors."""
    title = f"{report['model']}  {report['tokens']:,} tokens, {report['documents']} documents"
    shown = table(title, f"{report['members']} members: {report['varied']}", "mean", "95 %")
    for name, said in NAMES.items():
        row = report[name]
        shown.add_row(said, f"{row['mean']:.4f}", f"{row['low']:.4f} .. {row['high']:.4f}")
    for name, said in (("calibration", ""), ("calibration_of_mean", " of the members' mean")):
        low, high = report[name]["ece_interval"]
        shown.add_row(
            f"calibration error{said}", f"{report[name]['ece']:.4f}", f"{low:.4f} .. {high:.4f}"
        )
    for name in AUROC:
        found = report["error_auroc"][name]
        said = "" if found is None else f"{found:.4f}"
        shown.add_row(f"errors told by {name.replace('_', ' ')} (AUROC)", said, "")
    return shown


def bins_table(report: dict[str, Any]) -> Table:
    """Confidence against what came true; empty bins are left out."""
    shown = table("\nreliability", "confidence from", "tokens", "confidence", "accuracy")
    for row in report["calibration"]["bins"]:
        if row["count"]:
            shown.add_row(
                f"{row['from']:.3f}", f"{row['count']:,}", f"{row['confidence']:.3f}",
                f"{row['accuracy']:.3f}",
            )  # fmt: skip
    return shown
