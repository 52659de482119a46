"""Heat map of ranks, layer by type of map: a picture, and a page with the table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.files.results import json_bytes, write_files
from transplant.pictures.figures import as_png, as_svg, new_figure
from transplant.pictures.page import fill
from transplant.tables.basis import allocation_table, layer_text, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BRIGHT = 0.6  # of the highest rank: above it the colour is too light for white words


def draw_allocation(report: dict[str, Any]) -> dict[str, bytes]:
    """Draws `ranks.png` and `ranks.html`; returns their bytes, by name."""
    plot = as_svg(draw_ranks(report))
    page = fill("ranks", report=report, ranks=allocation_table(report), plot=plot)
    return {"ranks.png": as_png(draw_ranks(report)), "ranks.html": page.encode()}


def write_allocation(folder: Path, report: dict[str, Any], drawn: Mapping[str, bytes]) -> list[str]:
    """Writes `ranks.json` and what was drawn into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    return write_files(folder, {"ranks.json": json_bytes(report), **drawn})


def _grid(report: dict[str, Any]) -> tuple[list[str], list[Any], list[list[int | None]]]:
    """Types, layers, and the rank of each layer and type; None where there is no such map."""
    types = [*dict.fromkeys(row["type"] for row in report["maps"])]
    layers = [*dict.fromkeys(row["layer"] for row in report["maps"])]
    ranks = {(row["layer"], row["type"]): row["rank"] for row in report["maps"]}
    return types, layers, [[ranks.get((layer, kind)) for kind in types] for layer in layers]


def draw_ranks(report: dict[str, Any]) -> Figure:
    """The heat map."""
    types, layers, rows = _grid(report)
    figure = new_figure(1.6 + 0.75 * len(types), 1.6 + 0.3 * len(layers))
    axes = figure.add_subplot()
    values = [[float("nan") if rank is None else rank for rank in row] for row in rows]
    highest = max((rank for row in rows for rank in row if rank is not None), default=0)
    image = axes.imshow(values, cmap="viridis", aspect="auto", vmin=0, vmax=max(highest, 1))
    axes.set_xticks(range(len(types)), [short(kind) for kind in types], rotation=45, ha="right")
    axes.set_yticks(range(len(layers)), [*map(layer_text, layers)])
    axes.set_ylabel("layer")
    axes.set_title(f"ranks by {report['score']}: {report['parameters']:,} parameters", fontsize=9)
    for y, row in enumerate(rows):
        for x, rank in enumerate(row):
            if rank is not None:
                ink = "#222" if rank > BRIGHT * highest else "white"
                axes.text(x, y, str(rank), ha="center", va="center", fontsize=8, color=ink)
    figure.colorbar(image, ax=axes, label="rank")
    return figure
