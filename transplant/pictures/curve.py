"""The budget curve as a picture beside its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.evaluation.curve import CURVES
from transplant.files.results import json_bytes, write_files
from transplant.pictures.figures import TITLE, WIDTH, WORDS, as_png, lines_of, new_figure
from transplant.tables.curve import crossing_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE, NARROW = (WIDTH, 4.2), (4.2, 5.4)
"""Inches of the picture, and for a narrow screen."""
COLOURS = {"moved": "#1f6f5c", "random": "#c8553d", "native": "#8a8f98"}


def write_curve(folder: Path, report: dict[str, Any]) -> list[str]:
    """Writes `curve.json` and `curve.png` into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    files = {"curve.json": json_bytes(report), "curve.png": as_png(draw_curve(report))}
    return write_files(folder, files)


def draw_curve(report: dict[str, Any], *, narrow: bool = False) -> Figure:
    """Recovered against tokens, a band for the interval over seeds; no curve without a ceiling.

    Args:
        report: of the curve.
        narrow: whether it is for a narrow screen: its legend stands below.
    """
    size = NARROW if narrow else WIDE
    figure = new_figure(*size)
    axes = figure.add_subplot()
    curves = {} if "no_ceiling" in report else report["curves"]
    for name, points in curves.items():
        tokens = [point["tokens"] for point in points]
        values = [point["recovered"] for point in points]
        axes.plot(tokens, values, marker="o", color=COLOURS[name], label=CURVES[name])
        bounds = [point["interval"] or [point["recovered"]] * 2 for point in points]
        lows, highs = zip(*bounds, strict=True)
        axes.fill_between(tokens, lows, highs, color=COLOURS[name], alpha=0.15, linewidth=0)
    least = min((budget for budget in report["budgets"] if budget), default=1)
    axes.set_xscale("symlog", linthresh=least)
    axes.set_xticks(report["budgets"], [f"{budget:,}" for budget in report["budgets"]])
    axes.axhline(0, color="#444", linewidth=0.8)
    axes.set_xlabel("tokens of the target's domain text")
    axes.set_ylabel("recovered: 0 the raw backbone, 1 the native")
    title = f"{report['donor']} → {report['target']}: {crossing_text(report)}"
    figure.suptitle(lines_of(title, size[0]), fontsize=TITLE)
    lines, words = axes.get_legend_handles_labels()
    if narrow:
        shorter = [lines_of(word, 0.85 * size[0], WORDS) for word in words]
        figure.legend(lines, shorter, loc="outside lower left", frameon=False, fontsize=WORDS)
    elif curves:
        axes.legend(frameon=False, fontsize=WORDS)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
