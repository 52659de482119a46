"""One self-contained HTML page for a demo: plot, tables and how to get them again."""

from __future__ import annotations

import json
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from commands.render.shares import bounds_text, share_in, share_text
from commands.render.transfer import NOTES
from transplant.errors import StorageError, TransplantError
from transplant.files.whole_file import whole_file

TEMPLATE = Path(__file__).with_name("page.html.jinja")
COLOURS = {"candidate": "#1f6f5c", "native": "#8a8f98"}
DONOR_FREE, MODULE_FREE, OTHER = "#c8553d", "#d9a441", "#9fb1c7"


def require_plotting() -> None:
    """Refuses before the long work where the page could not be written after it.

    Raises:
        TransplantError: the extra `plot` is not installed.
    """
    if not all(find_spec(name) for name in ("jinja2", "matplotlib")):
        raise TransplantError(
            "the page needs matplotlib and jinja2", hint="pip install 'abi-transplant[plot]'"
        )


def write_page(folder: Path, report: dict[str, Any]) -> Path:
    """Writes `index.html` and `result.json` into a folder and returns the page's path.

    Raises:
        TransplantError: the extra `plot` is not installed.
        StorageError: the disk refused.
    """
    require_plotting()
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        moves=[
            {**move, "plot": plot_move(move), "rows": rows_of(move), "shares": shares_of(move)}
            for move in report["moves"]
        ],
        plan=report["plan"],
        seconds=report["seconds"],
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("result.json", json.dumps(report, indent=2)), ("index.html", page)):
            with whole_file(folder / name) as partial:
                partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write the page to {folder}", found=error.strerror) from error
    return folder / "index.html"


def rows_of(move: dict[str, Any]) -> list[dict[str, Any]]:
    """The systems of a move, for the page's table."""
    return [
        {
            "system": system.replace("_", " "),
            "ppl": ppl,
            "recovered": share_in(move["recovered"], system),
            "interval": bounds_text(move["intervals"]["recovered"].get(system)),
            "note": NOTES.get(system, "another domain under the same maps"),
        }
        for system, ppl in move["ppl"].items()
    ]


def shares_of(move: dict[str, Any]) -> dict[str, str]:
    """The attributable shares of a move, for the page's text."""
    return {kind: share_text(move[f"{kind}_attributable"]) for kind in ("donor", "module")}


def plot_move(move: dict[str, Any]) -> str:
    """Recovered against the controls, with intervals, as an inline SVG."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    if "no_ceiling" in move:
        return ""  # no share to draw
    names = [name for name, value in move["recovered"].items() if value is not None]
    values = [move["recovered"][name] for name in names]
    bounds = [move["intervals"]["recovered"][name] for name in names]
    errors = [
        [value - low for value, (low, _) in zip(values, bounds, strict=True)],
        [high - value for value, (_, high) in zip(values, bounds, strict=True)],
    ]
    figure = Figure(figsize=(8, 0.42 * len(names) + 0.9), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    labels = [name.replace("_", " ") for name in names]
    axes.barh(labels, values, xerr=errors, color=[_colour(name) for name in names], ecolor="#444")
    axes.invert_yaxis()
    axes.axvline(0, color="#444", linewidth=0.8)
    axes.set_xlabel("recovered: 0 is the raw backbone, 1 the native module (bars: 95 %)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    buffer = StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue().partition("<svg")[1] + buffer.getvalue().partition("<svg")[2]


def _colour(name: str) -> str:
    from transplant.evaluation.evidence import DONOR_FREE as DONOR_FREE_NAMES
    from transplant.evaluation.evidence import MODULE_FREE as MODULE_FREE_NAMES

    if name in DONOR_FREE_NAMES:
        return DONOR_FREE
    return MODULE_FREE if name in MODULE_FREE_NAMES else COLOURS.get(name, OTHER)
