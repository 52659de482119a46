"""A trace as a folder of files: the numbers, the heat map, and a page with the whole ranking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transplant.files.results import json_bytes, write_files
from transplant.pictures.figures import as_png
from transplant.pictures.heat_map import (
    colour_of,
    draw_trace,
    grids_of,
    said_of,
    title_of,
)
from transplant.pictures.page import fill
from transplant.tables.trace import notes_of, targets_table


def write_trace(folder: Path, report: dict[str, Any]) -> list[str]:
    """Writes `trace.json`, `trace.png` and `trace.html` into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    files = {
        "trace.json": json_bytes(report),
        "trace.png": as_png(draw_trace(report)),
        "trace.html": page_of(report).encode(),
    }
    return write_files(folder, files)


def page_of(report: dict[str, Any]) -> str:
    """The heat map and the whole ranking as one page that needs nothing else."""
    return fill(
        "trace",
        report=report,
        title=title_of(report),
        notes=notes_of(report),
        grids=grids_of(report),
        colour=colour_of,
        said=said_of,
        targets=targets_table(report),
    )
