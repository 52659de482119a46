"""Uncertainty as a reliability diagram and a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.files.results import json_bytes, write_files
from transplant.pictures.figures import WORDS, as_png, lines_of, new_figure
from transplant.pictures.page import as_source, fill
from transplant.tables.uncertainty import bins_table, uncertainty_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL, GAP = "#1f6f5c", "#c8553d"


def write_uncertainty(folder: Path, report: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    """Writes metrics, diagram and page into a folder and returns their paths.

    Args:
        folder: where they go.
        report: the means, the bins and how well each uncertainty tells errors.
        metrics: the numbers of each token, which routing reads.

    Raises:
        StorageError: the disk refused.
    """
    picture = as_png(draw_reliability(report))
    page = fill(
        "uncertainty", report=report, means=uncertainty_table(report), bins=bins_table(report),
        picture=as_source(picture),
    )  # fmt: skip
    files = {
        "metrics.json": json.dumps(metrics, allow_nan=False).encode(),
        "report.json": json_bytes(report),
        "reliability.png": picture,
        "index.html": page.encode(),
    }
    return write_files(folder, files)


def draw_reliability(report: dict[str, Any]) -> Figure:
    """The reliability diagram: bars of accuracy, the gap to confidence, and counts."""
    bins = report["calibration"]["bins"]
    width = 1 / len(bins)
    left = [row["from"] for row in bins]
    figure = new_figure(4.4, 4.6)  # words of 10 px and more on a phone
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
    low, high = report["calibration"]["interval"]["ece"]
    head = lines_of(f"{report['model']} on {Path(report['data']).name}", figure.get_figwidth())
    error = f"calibration error {report['calibration']['ece']:.4f} ({low:.4f} to {high:.4f})"
    figure.suptitle(f"{head}\n{error}", fontsize=WORDS)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    counts.bar(left, [row["count"] for row in bins], width, align="edge", color="#8a8f98",
               edgecolor="white")  # fmt: skip
    counts.set(xlabel="confidence in the first choice", ylabel="tokens")
    for one in (axes, counts):
        one.spines[["top", "right"]].set_visible(False)
    return figure
