"""Bars with intervals: one row each, the value beside it, nothing where there is no value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.pictures.figures import TITLE, WIDTH, WORDS, lines_of, new_figure
from transplant.tables.shares import NO_CEILING, bounds_in
from transplant.tables.systems import ROLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOVED, CEILING, NO_MODULE, NO_DONOR, OTHER = (
    "#1f6f5c", "#8a8f98", "#d9a441", "#c8553d", "#9fb1c7",
)  # fmt: skip
COLOURS: dict[str, str] = dict(
    zip(ROLES, (MOVED, CEILING, NO_MODULE, NO_DONOR, OTHER), strict=True)
)
"""The colour of a bar by the role of its system."""
ROW = 0.34  # inches
LABEL = 0.4  # of the width: the longest line of a label


@dataclass(frozen=True)
class Bar:
    """A quantity of one system."""

    label: str
    value: float | None
    """None where there is none, as without a ceiling."""
    interval: Sequence[float | None] | None = None
    """Its ends, in the units of the value; infinite, or None as in JSON, where it has none."""
    colour: str = OTHER


def draw_bars(
    bars: Sequence[Bar], *, title: str, axis: str, form: str = "+.3f", mark: float | None = None
) -> Figure:
    """Bars from 0, the first on top, with whiskers for their intervals.

    Args:
        bars: what is drawn.
        title: above them.
        axis: the quantity and its unit.
        form: how a value is written beside its bar, as in a format string.
        mark: a value at which a dashed line stands, as a threshold.
    """
    above = lines_of(title, WIDTH)
    labels = [lines_of(bar.label, LABEL * WIDTH) for bar in bars]
    rows = sum(1 + 0.5 * label.count("\n") for label in labels)
    figure = new_figure(WIDTH, 1.1 + 0.2 * (1 + above.count("\n")) + ROW * rows)
    axes = figure.add_subplot()
    for place, bar in enumerate(bars):
        _draw_bar(axes, place, bar, form)
    axes.axvline(0, color="#444", linewidth=0.8)
    if mark is not None:
        axes.axvline(mark, color="#444", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(bars)), labels)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.margins(x=0.18)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(lines_of(axis, 0.7 * WIDTH))
    figure.suptitle(above, fontsize=TITLE)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def _draw_bar(axes: Any, place: int, bar: Bar, form: str) -> None:
    if bar.value is None:
        axes.annotate(
            NO_CEILING, (0, place), (5, 0), textcoords="offset points", va="center",
            fontsize=WORDS, color="#666",
        )  # fmt: skip
        return
    ends = bounds_in(bar.interval) or (bar.value, bar.value)
    low, high = (end if math.isfinite(end) else bar.value for end in ends)
    axes.barh(place, bar.value, height=0.66, color=bar.colour)
    if bar.interval is not None:
        axes.plot([low, high], [place, place], color="#333", linewidth=1.1)
    for end, mark in zip(ends, "<>", strict=True):  # an arrow where the interval has no end
        if not math.isfinite(end):
            axes.plot([bar.value], [place], marker=mark, color="#333", markersize=4)
    right = bar.value >= 0
    axes.annotate(
        format(bar.value, form).replace("-0.000", "+0.000"),
        (max(0, high) if right else min(0, low), place),
        (5 if right else -5, 0), textcoords="offset points", va="center",
        ha="left" if right else "right", fontsize=WORDS,
    )  # fmt: skip
