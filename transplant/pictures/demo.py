"""The page of a demo: a plot and a table for each move, and how to get them again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transplant.files.results import json_bytes, write_files
from transplant.pictures.figures import as_svg, new_figure
from transplant.pictures.page import fill, require_plotting
from transplant.pictures.shares import bounds_text, share_in, share_text
from transplant.pictures.systems import NOTES, OTHER_DOMAIN, colour_of


def write_demo(folder: Path, report: dict[str, Any]) -> Path:
    """Writes `index.html` and `result.json` into a folder and returns the page's path.

    Raises:
        TransplantError: the extra `plot` is not installed.
        StorageError: the disk refused.
    """
    require_plotting()
    page = fill(
        "demo",
        moves=[
            {**move, "plot": plot_move(move), "rows": rows_of(move), "shares": shares_of(move)}
            for move in report["moves"]
        ],
        plan=report["plan"],
        seconds=report["seconds"],
    )
    files = {"result.json": json_bytes(report, 2), "index.html": page.encode()}
    return Path(write_files(folder, files)[1])


def rows_of(move: dict[str, Any]) -> list[dict[str, Any]]:
    """The systems of a move, for the page's table."""
    return [
        {
            "system": system.replace("_", " "),
            "ppl": ppl,
            "recovered": share_in(move["recovered"], system),
            "interval": bounds_text(move["intervals"]["recovered"].get(system)),
            "note": NOTES.get(system, OTHER_DOMAIN),
        }
        for system, ppl in move["ppl"].items()
    ]


def shares_of(move: dict[str, Any]) -> dict[str, str]:
    """The attributable shares of a move, for the page's text."""
    return {kind: share_text(move[f"{kind}_attributable"]) for kind in ("donor", "module")}


def plot_move(move: dict[str, Any]) -> str:
    """Recovered against the controls, with intervals, as an inline SVG."""
    if "no_ceiling" in move:
        return ""  # no share to draw
    names = [name for name, value in move["recovered"].items() if value is not None]
    values = [move["recovered"][name] for name in names]
    bounds = [move["intervals"]["recovered"][name] for name in names]
    errors = [
        [value - low for value, (low, _) in zip(values, bounds, strict=True)],
        [high - value for value, (_, high) in zip(values, bounds, strict=True)],
    ]
    figure = new_figure(8, 0.42 * len(names) + 0.9)
    axes = figure.add_subplot()
    labels = [name.replace("_", " ") for name in names]
    axes.barh(labels, values, xerr=errors, color=[colour_of(name) for name in names], ecolor="#444")
    axes.invert_yaxis()
    axes.axvline(0, color="#444", linewidth=0.8)
    axes.set_xlabel("recovered: 0 is the raw backbone, 1 the native module (bars: 95 %)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    return as_svg(figure)
