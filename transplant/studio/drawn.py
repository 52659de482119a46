"""Pictures of reports: which drawing belongs to which kind, and its bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from transplant.errors import CorruptError, NotFoundError, foreign
from transplant.pictures.figures import as_png, require_matplotlib

Figure = Any
"""A figure of matplotlib, which `pictures` alone imports."""
NARROW = 4.2
"""Inches of a picture for a narrow screen: its letters are shrunk less."""
SHRINKS = ("uncertainty", "route", "ranks")
"""Kinds whose pictures can be that narrow."""
LETTERS = 40
"""Of a line of words in it."""


def _curve(report: Mapping[str, Any], narrow: bool) -> Figure:
    from transplant.pictures.curve import draw_curve

    return draw_curve(dict(report), narrow=narrow)


def _trace(report: Mapping[str, Any], narrow: bool) -> Figure:
    from transplant.pictures.heat_map import draw_trace

    return draw_trace(dict(report), narrow=narrow)


def _uncertainty(report: Mapping[str, Any], _narrow: bool) -> Figure:
    from transplant.pictures.uncertainty import draw_reliability

    return draw_reliability(dict(report))


def _route(report: Mapping[str, Any], narrow: bool) -> Figure:
    from transplant.pictures.route import draw_route

    return draw_route(dict(report), stacked=narrow)


def _ranks(report: Mapping[str, Any], _narrow: bool) -> Figure:
    from transplant.pictures.ranks import draw_ranks

    return draw_ranks(dict(report))


DRAWN: Mapping[str, tuple[Callable[[Mapping[str, Any], bool], Figure], str]] = {
    "curve": (_curve, "Recovered by tokens of the target's domain text"),
    "trace": (_trace, "What each part is worth, block by head"),
    "uncertainty": (_uncertainty, "Reliability: accuracy by confidence"),
    "route": (_route, "Risk by coverage"),
    "ranks": (_ranks, "Rank of each map"),
}
"""By kind of a report, how it is drawn, maybe for a narrow screen, and what the picture is of."""


def draw(kind: str, report: Mapping[str, Any], *, narrow: bool = False) -> bytes:
    """The picture of a report as a PNG.

    Args:
        kind: of the report.
        report: what is drawn.
        narrow: whether it is for a narrow screen.

    Raises:
        NotFoundError: nothing is drawn of that kind.
        CorruptError: the report does not hold what its kind promises.
        TransplantError: matplotlib is not installed.
    """
    if kind not in DRAWN:
        raise NotFoundError("nothing is drawn of such a report")
    require_matplotlib()
    with foreign("the report cannot be drawn", CorruptError, expected=f"a whole {kind}"):
        figure = DRAWN[kind][0](report, narrow)
        width, height = figure.get_size_inches()
        if narrow and kind in SHRINKS and width > NARROW:
            figure.set_size_inches(NARROW, max(height, 1.2 * NARROW))
            _wrap_words(figure)
        return as_png(figure)


def _wrap_words(figure: Figure) -> None:
    """Breaks the lines of titles and legends that a narrow picture does not hold."""
    for axes in figure.axes:
        legend = axes.get_legend()
        for text in (axes.title, *(legend.get_texts() if legend is not None else ())):
            lines = text.get_text().splitlines()
            text.set_text("\n".join(textwrap.fill(line, LETTERS) for line in lines))
