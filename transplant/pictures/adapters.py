"""Adapters at one budget: domain loss against forgetting as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.files.results import json_bytes, write_files
from transplant.pictures.figures import TITLE, as_png, lines_of, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

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
    rows = [row for row in report["rows"] if "unavailable" not in row]
    for kind, (colour, filled) in KINDS.items():
        ours = [row for row in rows if _kind_of(row["method"]) == kind]
        axes.scatter(
            [row["forgetting"] for row in ours], [row["domain"] for row in ours], s=28, label=kind,
            edgecolors=colour, facecolors=colour if filled else "none",
        )  # fmt: skip
    wide, high = figure.get_size_inches()
    forgetting = f"forgetting: loss on {report['other']}, nats per token more than raw"
    axes.set_xlabel(lines_of(forgetting, 0.8 * wide))
    axes.set_ylabel(lines_of(f"loss on {report['domain']}, nats per token", 0.75 * high))
    head = f"{report['backbone']}, {report['budget']:,} parameters"
    figure.suptitle(lines_of(head, wide), fontsize=TITLE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.12)
    axes.legend(frameon=False, fontsize=7)
    figure.draw_without_rendering()  # where names stand depends on where the axes are
    taken: list[Bbox] = []
    for row in rows:
        taken.append(_named(axes, row["method"], (row["forgetting"], row["domain"]), taken))
    return figure


KINDS = {"BASIS": (BASIS, True), "BASIS without a part": (BASIS, False), "PEFT, full": (PEER, True)}
SIDES = [((5, 3), "left"), ((5, -8), "left"), ((-5, 3), "right"), ((-5, -8), "right"),
         ((5, 10), "left"), ((5, -15), "left")]  # fmt: skip
"""Where a point's name may stand, in points beside it; the first that is free."""


def _kind_of(method: str) -> str:
    ours, without, peers = KINDS
    return {"basis": ours}.get(method, without if method.startswith("basis") else peers)


def _named(axes: Axes, name: str, place: tuple[float, float], taken: Sequence[Bbox]) -> Bbox:
    """Writes a name beside its point where no other stands; returns what it covers."""
    text = axes.annotate(name, place, SIDES[0][0], textcoords="offset points", fontsize=7)
    for offset, side in SIDES:
        text.set(position=offset, ha=side)
        if not any(text.get_window_extent().overlaps(other) for other in taken):
            break
    return text.get_window_extent()
