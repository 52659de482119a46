"""Heat map of ranks, layer by type of map: a picture, and a page with the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.output import write_json
from commands.render.basis import short
from transplant.errors import StorageError
from transplant.files.whole_file import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).with_name("basis.html.jinja")


def write_allocation(folder: Path, report: dict[str, Any]) -> list[str]:
    """Writes `ranks.json`, `ranks.png` and `ranks.html` into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    import jinja2

    data, picture, page = (folder / f"ranks.{end}" for end in ("json", "png", "html"))
    types, layers, rows = _grid(report)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report, types=types, rows=zip(layers, rows, strict=True), plot=_as_svg(report)
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(data, report)
        with whole_file(picture) as partial:
            draw(report).savefig(partial, format="png", dpi=144, metadata={"Software": None})
        with whole_file(page) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write to {folder}", found=error.strerror) from error
    return [str(data), str(picture), str(page)]


def _grid(report: dict[str, Any]) -> tuple[list[str], list[Any], list[list[int | None]]]:
    """Types, layers, and the rank of each layer and type; None where there is no such map."""
    types = [*dict.fromkeys(row["type"] for row in report["maps"])]
    layers = [*dict.fromkeys(row["layer"] for row in report["maps"])]
    ranks = {(row["layer"], row["type"]): row["rank"] for row in report["maps"]}
    return types, layers, [[ranks.get((layer, kind)) for kind in types] for layer in layers]


def draw(report: dict[str, Any]) -> Figure:
    """The heat map."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    types, layers, rows = _grid(report)
    size = (1.6 + 0.75 * len(types), 1.6 + 0.3 * len(layers))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    values = [[float("nan") if rank is None else rank for rank in row] for row in rows]
    image = axes.imshow(values, cmap="viridis", aspect="auto", vmin=0)
    axes.set_xticks(range(len(types)), [short(kind) for kind in types], rotation=45, ha="right")
    axes.set_yticks(range(len(layers)), [str(layer) for layer in layers])
    axes.set_ylabel("layer")
    axes.set_title(f"ranks by {report['score']}: {report['parameters']:,} parameters", fontsize=9)
    for y, row in enumerate(rows):
        for x, rank in enumerate(row):
            if rank is not None:
                axes.text(x, y, str(rank), ha="center", va="center", fontsize=7, color="white")
    figure.colorbar(image, ax=axes, label="rank")
    return figure


def _as_svg(report: dict[str, Any]) -> str:
    from io import StringIO

    buffer = StringIO()
    draw(report).savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return "<svg" + buffer.getvalue().partition("<svg")[2]
