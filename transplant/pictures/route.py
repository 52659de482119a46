"""Routing by uncertainty as a plot of risk against coverage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.files.results import json_bytes, write_files
from transplant.pictures.figures import TITLE, as_png, lines_of, new_figure
from transplant.tables.route import RISKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUTED, SELECTIVE, RANDOM = "#1f6f5c", "#3b6ea5", "#8a8f98"


def write_route(folder: Path, report: dict[str, Any]) -> list[str]:
    """Writes `route.json` and `route.png` into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    files = {"route.json": json_bytes(report), "route.png": as_png(draw_route(report))}
    return write_files(folder, files)


def draw_route(report: dict[str, Any], *, stacked: bool = False) -> Figure:
    """Both risks against coverage, with those of random routing.

    Args:
        report: of `simulate_route`.
        stacked: one panel below the other, for a narrow screen.
    """
    figure = new_figure(4.2, 7.4) if stacked else new_figure(9, 4)
    panels = figure.subplots(2, 1) if stacked else figure.subplots(1, 2)
    covered = [point["coverage"] for point in report["curve"]]
    for axes, (name, said), colour in zip(panels, RISKS.items(), (SELECTIVE, ROUTED), strict=True):
        risk = [point[name] for point in report["curve"]]
        axes.plot(covered, risk, color=colour, label=f"by {report['by'].replace('_', ' ')}")
        ends = [risk[-1] if name == "selective" else risk[0], risk[-1]]
        axes.plot([0, 1], ends, color=RANDOM, linestyle="--", label="at random")
        axes.set(xlabel="share of tokens that the model keeps", ylabel="nats per token")
        gain = report["areas"][name]
        low, high = gain["interval"]
        won = f"{gain['nats']:.4f} ({low:.4f} to {high:.4f})"
        axes.set_title(f"{said}\nrandom less routed: {won}", fontsize=9)
        axes.axvline(report["coverage"], color="#444", linewidth=0.8, label="at tau")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    head = f"{report['model']}, else {report['baseline']}"
    figure.suptitle(lines_of(head, figure.get_figwidth()), fontsize=TITLE)
    return figure
