"""Uncertainty as tables, a reliability diagram and a page."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.json_text import to_json
from commands.output import table, write_files

if TYPE_CHECKING:
    from rich.table import Table

TEMPLATE = Path(__file__).with_name("uncertainty.html.jinja")
MODEL, GAP = "#1f6f5c", "#c8553d"
NAMES = {
    "nats": "loss, nats per token",
    "accuracy": "first choice is right",
    "entropy": "entropy, nats",
    "predictive_entropy": "entropy of the members' mean",
    "mutual_information": "mutual information, nats",
    "mean_nats": "loss of the members' mean",
}
AUROC = ("entropy", "predictive_entropy", "mutual_information")


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


def write_uncertainty(folder: Path, report: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    """Writes metrics, diagram and page into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    picture = draw_reliability(report)
    files = {
        "metrics.json": json.dumps(metrics, allow_nan=False).encode(),
        "report.json": (to_json(report, 1) + "\n").encode(),
        "reliability.png": picture,
        "index.html": _page(report, picture).encode(),
    }
    return write_files(folder, files)


def draw_reliability(report: dict[str, Any]) -> bytes:
    """The reliability diagram as a PNG: bars of accuracy, the gap to confidence, and counts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bins = report["calibration"]["bins"]
    width = 1 / len(bins)
    left = [row["from"] for row in bins]
    figure = Figure(figsize=(6, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    filled = [row for row in bins if row["count"]]
    at = [row["from"] for row in filled]
    accuracy = [row["accuracy"] for row in filled]
    gaps = [row["confidence"] - row["accuracy"] for row in filled]
    axes.bar(at, accuracy, width, align="edge", color=MODEL, edgecolor="white", label="accuracy")
    axes.bar(
        at, gaps, width, bottom=accuracy, align="edge", color=GAP, alpha=0.35, edgecolor=GAP,
        hatch="//", linewidth=0.5, label="gap to the mean confidence",
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="#444", linewidth=0.9, linestyle="--", label="calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that came true")
    low, high = report["calibration"]["ece_interval"]
    axes.set_title(
        f"{report['model']} on {Path(report['data']).name}\n"
        f"calibration error {report['calibration']['ece']:.4f} ({low:.4f} to {high:.4f})",
        fontsize=9,
    )  # fmt: skip
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    counts.bar(left, [row["count"] for row in bins], width, align="edge", color="#8a8f98",
               edgecolor="white")  # fmt: skip
    counts.set(xlabel="confidence in the first choice", ylabel="tokens")
    for one in (axes, counts):
        one.spines[["top", "right"]].set_visible(False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=144, metadata={"Software": None})
    return buffer.getvalue()


def _page(report: dict[str, Any], picture: bytes) -> str:
    """One self-contained page: the diagram and the numbers."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report, names=NAMES, auroc=AUROC, picture=base64.b64encode(picture).decode()
    )
