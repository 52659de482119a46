"""The heat map of a trace, block by head: its grids, their colours, and the picture."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.pictures.figures import new_figure
from transplant.tables.trace import interval_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HURTS, HELPS, NOTHING = "#b2392b", "#2a6db0", "#f4f3f0"
HEADS = {"head": "", "cross": "cross ", "query": "query ", "key": "key ", "value": "value "}
LINEAR = 1 / 30  # of the largest effect: smaller ones are coloured in proportion
CELL, ROW = 0.42, 0.26  # inches
NARROW = 4.2  # inches across, for a narrow screen
LEAST, MOST = 9, 14  # points of a label: a wide picture is shrunk to fit a page


@dataclass(frozen=True)
class Grid:
    """Effects by block and column; None where nothing was asked for."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[dict[str, Any] | None, ...], ...]
    """From the first block to the last."""

    @property
    def largest(self) -> float:
        """The largest effect, by magnitude; above 0."""
        values = [abs(cell["effect"]) for row in self.rows for cell in row if cell is not None]
        return max((*values, 1e-12))

    @property
    def numbered(self) -> list[tuple[int, tuple[dict[str, Any] | None, ...]]]:
        """The rows with the numbers of their blocks, from the last block to the first."""
        return [*enumerate(self.rows)][::-1]


def grids_of(report: dict[str, Any]) -> list[Grid]:
    """Heads of each kind, and the parts that have none; kinds that were not asked for are left out.

    Each has colours of its own: a feed-forward part may be worth a hundred heads.
    """
    found: list[Grid] = []
    for kind, said in HEADS.items():
        rows = [row for row in report["targets"] if row["kind"] == kind]
        if rows:
            heads = range(max(row["head"] for row in rows) + 1)
            places = {(row["layer"], row["head"]): row for row in rows}
            found.append(_grid(report, f"{said}head", heads, places))
    kinds = [k for k in ("ffn", "attn", "layer") if any(r["kind"] == k for r in report["targets"])]
    if kinds:
        places = {(r["layer"], r["kind"]): r for r in report["targets"] if r["kind"] in kinds}
        found.append(_grid(report, "part", kinds, places))
    return found


def _grid(report: dict[str, Any], title: str, columns: Any, places: dict[Any, Any]) -> Grid:
    return Grid(
        title,
        tuple(str(column) for column in columns),
        tuple(
            tuple(places.get((layer, column)) for column in columns)
            for layer in range(report["blocks"])
        ),
    )


def colour_of(cell: dict[str, Any], largest: float) -> str:
    """The colour of an effect on its grid's scale: in proportion when small, else by logarithm."""
    size = abs(cell["effect"]) / largest
    part = size / LINEAR if size < LINEAR else 1 + math.log(size / LINEAR)
    strength = min(1.0, part / (1 + math.log(1 / LINEAR)))
    end = HURTS if cell["effect"] > 0 else HELPS
    mixed = [
        round(int(NOTHING[at : at + 2], 16) * (1 - strength) + int(end[at : at + 2], 16) * strength)
        for at in (1, 3, 5)
    ]
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def said_of(cell: dict[str, Any]) -> str:
    """What a cell of a heat map tells when it is pointed at."""
    bounds = interval_text(cell.get("interval"))
    known = f" ({bounds})" if bounds else "" if cell.get("measured", True) else " (an estimate)"
    return f"{cell['target']} {cell['effect']:+.4f}{known}"


def draw_trace(report: dict[str, Any], *, narrow: bool = False) -> Figure:
    """A panel for each grid, blocks from the bottom up; ticks where there is room for a label.

    Args:
        report: of a trace.
        narrow: whether it is for a narrow screen: the panels stand one below the other.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap, SymLogNorm

    grids = grids_of(report)
    colours = LinearSegmentedColormap.from_list("effect", [HELPS, NOTHING, HURTS])
    widths = [max(3, len(grid.columns)) for grid in grids]
    width = sum(widths) * CELL + 1.9 * len(grids) + 0.4
    height = max(2.6, report["blocks"] * ROW + 1.6)
    if narrow:
        figure, points = new_figure(NARROW, height * len(grids)), LEAST
        axes = figure.subplots(len(grids), 1, squeeze=False)[:, 0]
    else:
        figure, points = new_figure(max(5.6, width), height), min(MOST, max(LEAST, 0.75 * width))
        axes = figure.subplots(1, len(grids), width_ratios=widths, squeeze=False)[0]
    for axis, grid in zip(axes, grids, strict=True):
        values = np.array(
            [[np.nan if c is None else c["effect"] for c in row] for row in grid.rows]
        )
        norm = SymLogNorm(grid.largest * LINEAR, vmin=-grid.largest, vmax=grid.largest)
        shown = axis.imshow(
            values, cmap=colours, norm=norm, origin="lower", aspect="auto", interpolation="nearest"
        )
        _mark_estimates(axis, grid)
        axis.set_xlabel(grid.title, fontsize=points)
        axis.set_ylabel("block", fontsize=points)
        axis.set_xticks(range(len(grid.columns)), grid.columns)
        axis.set_yticks(range(0, report["blocks"], 1 if report["blocks"] <= 40 else 5))
        axis.tick_params(length=0, labelsize=points)
        axis.set_xticks([n - 0.5 for n in range(1, len(grid.columns))], minor=True)
        axis.set_yticks([n - 0.5 for n in range(1, report["blocks"])], minor=True)
        axis.grid(which="minor", color="white", linewidth=1)
        axis.tick_params(which="minor", length=0)
        axis.spines[:].set_visible(False)
        bar = figure.colorbar(shown, ax=axis, pad=0.02, aspect=max(20, 2 * report["blocks"]))
        marks = [-grid.largest, -grid.largest * LINEAR, 0, grid.largest * LINEAR, grid.largest]
        bar.set_ticks(marks, labels=[f"{mark:+.2g}" if mark else "0" for mark in marks])
        bar.ax.minorticks_off()
        bar.ax.tick_params(labelsize=points)
        bar.outline.set_visible(False)
    letters = int(figure.get_figwidth() * 100 / points)
    lines = textwrap.wrap(title_of(report), max(30, letters))
    figure.suptitle("\n".join(lines), fontsize=points + 2)
    return figure


def _mark_estimates(axis: Any, grid: Grid) -> None:
    """A dot on each cell that was estimated, not measured."""
    places = [
        (x, y)
        for y, row in enumerate(grid.rows)
        for x, cell in enumerate(row)
        if cell is not None and not cell.get("measured", True)
    ]
    if places:
        across, up = zip(*places, strict=True)
        axis.scatter(across, up, s=5, color="#77736b", linewidths=0)


def title_of(report: dict[str, Any]) -> str:
    """What the colours stand for."""
    what = (
        "clean values replaced by corrupted ones"
        if report["mode"] == "patching"
        else f"{report['intervention']} in place of each value"
    )
    dots = "; a dot: an estimate by gradients" if "prefilter" in report else ""
    return f"{report['model']}: {what}, {report['unit']} lost{dots}"
