"""Figures of matplotlib, and what they are as PNG and as SVG."""

from __future__ import annotations

import textwrap
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING

from transplant.errors import TransplantError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 144
WIDTH = 6.0
"""Of a picture, in inches: on a page as narrow as a phone its words can still be read."""
TITLE, WORDS, SMALL = 10, 9, 8
"""Points of a title, of words in a picture, and of the numbers where there are many."""
LETTER = 0.6  # of the points: how wide a letter is, with some to spare


def require_matplotlib() -> None:
    """Refuses before the long work where the picture could not be drawn after it.

    Raises:
        TransplantError: the extra `plot` is not installed.
    """
    if find_spec("matplotlib") is None:
        raise TransplantError(
            "the plot needs matplotlib", hint="pip install 'abi-transplant[plot]'"
        )


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of its own, which no window and no global state knows of.

    Args:
        width: in inches.
        height: in inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def lines_of(text: str, inches: float, points: float = TITLE) -> str:
    """A text in lines that fit, of which long names and paths are broken, too.

    Args:
        text: words, names, paths.
        inches: the longest line.
        points: the size of the letters.
    """
    return "\n".join(textwrap.wrap(text, max(8, int(72 * inches / (LETTER * points)))))


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG, the same bytes each time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def as_svg(figure: Figure, *, transparent: bool = True) -> str:
    """The figure as an `<svg>` element, without a background where it is for a page."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    buffer = BytesIO()
    told_of_itself = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # links to vocabularies
    figure.savefig(buffer, format="svg", transparent=transparent, metadata=told_of_itself)
    return "<svg" + buffer.getvalue().decode().partition("<svg")[2]
