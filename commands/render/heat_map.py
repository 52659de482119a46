"""The heat map of a trace, layer by head: a picture, a page and the numbers in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.output import write_json
from commands.render.page import require_plotting
from commands.render.trace import interval_text, notes_of, share_text
from transplant.errors import StorageError
from transplant.files.whole_file import whole_file

__all__ = ["require_plotting", "write_trace"]

TEMPLATE = Path(__file__).with_name("heat_map.html.jinja")
HURTS, HELPS, NOTHING = "#b2392b", "#2a6db0", "#f4f3f0"
HEADS = {"head": "", "cross": "cross ", "query": "query ", "key": "key ", "value": "value "}
LINEAR = 1 / 30  # of the largest effect: smaller ones are coloured in proportion
CELL, ROW = 0.42, 0.26  # inches
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


def write_trace(folder: Path, report: dict[str, Any]) -> list[str]:
    """Writes `trace.json`, `trace.png` and `trace.html` into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    names = ("trace.json", "trace.png", "trace.html")
    data, picture, page = (folder / name for name in names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(picture) as partial:
            draw(partial, report)
        with whole_file(page) as partial:
            partial.write_text(page_of(report), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write to {folder}", found=error.strerror) from error
    write_json(data, report)
    return [str(data), str(picture), str(page)]


def draw(path: Path, report: dict[str, Any]) -> None:
    """A panel for each grid, blocks from the bottom up; ticks where there is room for a label."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap, SymLogNorm
    from matplotlib.figure import Figure

    grids = grids_of(report)
    colours = LinearSegmentedColormap.from_list("effect", [HELPS, NOTHING, HURTS])
    widths = [max(3, len(grid.columns)) for grid in grids]
    width = sum(widths) * CELL + 1.9 * len(grids) + 0.4
    height = max(2.6, report["blocks"] * ROW + 1.6)
    figure = Figure(figsize=(max(5.6, width), height), layout="constrained")
    points = min(MOST, max(LEAST, 0.75 * width))
    FigureCanvasAgg(figure)
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
    figure.suptitle("\n".join(_wrapped(title_of(report), letters)), fontsize=points + 2)
    figure.savefig(path, format="png", dpi=144, metadata={"Software": None})


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


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(30, width))


def page_of(report: dict[str, Any]) -> str:
    """The heat map and the whole ranking as one page that needs nothing else."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        report=report,
        title=title_of(report),
        notes=[line for line in notes_of(report) if not line.endswith("FOLDER")],
        grids=[(grid, [*enumerate(grid.rows)][::-1]) for grid in grids_of(report)],
        colour=_colour,
        said=_said,
        interval=interval_text,
        share=share_text,
    )


def _colour(cell: dict[str, Any], largest: float) -> str:
    """Of an effect, on the scale of its grid: in proportion when small, by its logarithm beyond."""
    import math

    size = abs(cell["effect"]) / largest
    part = size / LINEAR if size < LINEAR else 1 + math.log(size / LINEAR)
    strength = min(1.0, part / (1 + math.log(1 / LINEAR)))
    end = HURTS if cell["effect"] > 0 else HELPS
    mixed = [
        round(int(NOTHING[at : at + 2], 16) * (1 - strength) + int(end[at : at + 2], 16) * strength)
        for at in (1, 3, 5)
    ]
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _said(cell: dict[str, Any]) -> str:
    """What a cell tells when it is pointed at."""
    bounds = interval_text(cell.get("interval"))
    known = f" ({bounds})" if bounds else "" if cell.get("measured", True) else " (an estimate)"
    return f"{cell['target']} {cell['effect']:+.4f}{known}"
