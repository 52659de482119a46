"""Uncertainty as tables."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import bounds_text
from transplant.tables.table import Sheet, Table

NAMES = {
    "nats": "loss, nats per token",
    "accuracy": "first choice is right",
    "entropy": "entropy, nats",
    "predictive_entropy": "entropy of the members' mean",
    "mutual_information": "mutual information, nats",
    "mean_nats": "loss of the members' mean",
}
AUROC = ("entropy", "predictive_entropy", "mutual_information")


def uncertainty_sheet(report: dict[str, Any]) -> Sheet:
    """Both tables, and where the files are."""
    files = ["\n" + "\n".join(report["files"])] if "files" in report else []
    return Sheet(uncertainty_table(report), bins_table(report), *files)


def uncertainty_table(report: dict[str, Any]) -> Table:
    """Means over tokens, calibration, and how well each uncertainty tells errors."""
    title = f"{report['model']}  {report['tokens']:,} tokens, {report['documents']} documents"
    shown = Table(title, f"{report['members']} members: {report['varied']}", "mean", "95 %")
    for name, said in NAMES.items():
        row = report[name]
        shown.add(said, f"{row['mean']:.4f}", bounds_text(row["interval"], ".4f"))
    for name, said in (("calibration", ""), ("calibration_of_mean", " of the members' mean")):
        low, high = report[name]["interval"]["ece"]
        shown.add(
            f"calibration error{said}", f"{report[name]['ece']:.4f}", f"{low:.4f} .. {high:.4f}"
        )
    for name in AUROC:
        found = report["error_auroc"][name]
        said = "" if found is None else f"{found:.4f}"
        shown.add(f"errors told by {name.replace('_', ' ')} (AUROC)", said, "")
    return shown


def bins_table(report: dict[str, Any]) -> Table:
    """Confidence against what came true; empty bins are left out."""
    shown = Table("\nreliability", "confidence from", "tokens", "confidence", "accuracy")
    for row in report["calibration"]["bins"]:
        if row["count"]:
            shown.add(
                f"{row['from']:.3f}", f"{row['count']:,}", f"{row['confidence']:.3f}",
                f"{row['accuracy']:.3f}",
            )  # fmt: skip
    return shown
