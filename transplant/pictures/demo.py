"""The page of a demo: bars and a table for each move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transplant.files.results import json_bytes, write_files
from transplant.pictures.document.blocks import Bar, Bars
from transplant.pictures.page import fill, require_plotting
from transplant.tables.shares import bounds_in, share_in, share_text
from transplant.tables.systems import NOTES, OTHER_DOMAIN, role_of


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
            {**move, "drawn": bars_of(move), "rows": rows_of(move), "shares": shares_of(move)}
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
        }
        for system, ppl in move["ppl"].items()
    ]


def shares_of(move: dict[str, Any]) -> dict[str, str]:
    """The attributable shares of a move, for the page's text."""
    return {kind: share_text(move[f"{kind}_attributable"]) for kind in ("donor", "module")}


def bars_of(move: dict[str, Any]) -> Bars | None:
    """Recovered beside the controls, with intervals; None where there is no share to draw."""
    if "no_ceiling" in move:
        return None
    bars = [
        Bar(
            system.replace("_", " "), share,
            *(bounds_in(move["interval"]["recovered"][system]) or ()),
            note=NOTES.get(system, OTHER_DOMAIN), role=role_of(system),
        )
        for system, share in move["recovered"].items()
        if share is not None
    ]  # fmt: skip
    return Bars(bars, "recovered: 0 is the raw backbone, 1 the native module")
