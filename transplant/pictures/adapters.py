"""Adapters at one budget: domain loss against forgetting as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.files.results import json_bytes, write_files
from transplant.pictures.figures import as_png, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASIS, PEER = "#1f6f5c", "#8a8f98"


def write_comparison(folder: Path, report: dict[str, Any]) -> list[str]:
    """Writes `compare.json` and `compare.png` into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    files = {"compare.json": json_bytes(report), "compare.png": as_png(draw_adapters(report))}
    return write_files(folder, files)


def draw_adapters(report: dict[str, Any]) -> Figure:
    """Held-out domain loss against forgetting, a point for each method; lower left is better."""
    figure = new_figure(7, 4.6)
    axes = figure.add_subplot()
    for row in report["rows"]:
        if "unavailable" in row:
            continue
        name = row["method"]
        colour = BASIS if name.startswith("basis") else PEER
        axes.scatter(row["forgetting"], row["domain"], color=colour, s=28)
        place = (row["forgetting"], row["domain"])
        axes.annotate(name, place, (4, 3), textcoords="offset points", fontsize=7)
    axes.set_xlabel(f"forgetting: loss on {report['other']}, nats per token more than raw")
    axes.set_ylabel(f"loss on {report['domain']}, nats per token")
    axes.set_title(f"{report['backbone']}, {report['budget']:,} parameters", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
