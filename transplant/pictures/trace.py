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
    interval_text,
    said_of,
    title_of,
)
from transplant.pictures.page import fill


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
        interval=interval_text,
        share=part_text,
    )


def notes_of(report: dict[str, Any]) -> list[str]:
    """Lines on how the numbers of a report came to be."""
    lines = [f"{report['sign']}; in {report['unit']}"]
    if report["mode"] == "patching":
        lines.append(
            f"{report['count']} pairs, {report['left_out']} left out; the corrupted text alone "
            f"costs {report['total']:.3f}"
        )
        lines.append(
            "noising: the corrupted value in the clean text; denoising: the clean value in the "
            "corrupted text"
        )
    else:
        lines.append(
            f"{report['documents']} documents of {report['data']}, {report['predicted']:,} "
            f"predicted tokens, {report['passes']} passes"
        )
    if "prefilter" in report:
        chosen = report["prefilter"]
        lines.append(
            f"atp: {chosen['measured']} of {len(report['targets'])} measured; rank agreement "
            f"{chosen['agreement']:.2f} on a sample of {chosen['sample']}; ~ is an estimate"
        )
    return lines


def part_text(share: dict[str, float] | None) -> str:
    """A part of a whole with its bounds."""
    if share is None:
        return "no whole"
    return f"{share['share']:.2f} ({share['low']:.2f} .. {share['high']:.2f})"
