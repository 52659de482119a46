"""The blocks of a document: text, facts, tables, bars, heat maps, a lineage, texts side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from transplant.pictures.document.lineage import Lineage
from transplant.pictures.heat_map import Grid
from transplant.tables.shares import bounds_text
from transplant.tables.table import Table


class Block:
    """What every block has."""

    title = ""

    @property
    def kind(self) -> str:
        """Its class, for a template."""
        return type(self).__name__


@dataclass(frozen=True)
class Paragraph(Block):
    """Running text."""

    text: str
    quiet: bool = False
    """Whether it is a remark beside what is measured."""


@dataclass(frozen=True)
class Facts(Block):
    """Names and what each is."""

    rows: Sequence[tuple[str, str]]
    title: str = ""


@dataclass(frozen=True)
class TableBlock(Block):
    """Rows under columns."""

    table: Table
    """Its own title and notes are not shown."""
    title: str = ""


@dataclass(frozen=True)
class Bar:
    """One measured value on the axis of its block."""

    label: str
    value: float
    low: float | None = None
    """Lower bound of its 95 % interval, -inf where it is unbounded; None where there is no interval
    on record."""
    high: float | None = None
    """Upper bound."""
    note: str = ""
    """What it is, in a few words."""
    role: str = "other"
    """Its colour: moved, native, no-donor, no-module or other."""


@dataclass(frozen=True)
class Bars(Block):
    """Values with their intervals, drawn from zero on one axis."""

    bars: Sequence[Bar]
    axis: str
    """What the axis measures, with its unit."""
    title: str = ""
    form: str = ".3f"
    """How a value is written, as in a format string."""

    @property
    def has_bounds(self) -> bool:
        """Whether any of them has an interval."""
        return any(map(self.bounds, self.bars))

    @property
    def reach(self) -> tuple[float, float]:
        """The ends of the axis: all values, all finite bounds and zero lie between them."""
        values = [0.0]
        for bar in self.bars:
            values += [v for v in (bar.value, bar.low, bar.high) if v is not None]
        values = [value for value in values if math.isfinite(value)]
        low, high = min(values), max(values)
        return (low, high) if high > low else (0.0, 1.0)

    def place(self, value: float) -> float:
        """Where a value lies on the axis, in percent of its length; an infinite one at its end."""
        low, high = self.reach
        return 100 * (min(high, max(low, value)) - low) / (high - low)

    def number(self, bar: Bar) -> str:
        """A value as text."""
        return format(bar.value, self.form)

    def bounds(self, bar: Bar) -> str:
        """Its interval as text; nothing where there is none."""
        if bar.low is None or bar.high is None:
            return ""
        return bounds_text((bar.low, bar.high), self.form)


@dataclass(frozen=True)
class HeatMap(Block):
    """Effects by block and column, coloured; see `heat_map.Grid`."""

    grid: Grid


@dataclass(frozen=True)
class LineageBlock(Block):
    """What was made from what, by hash."""

    lineage: Lineage


@dataclass(frozen=True)
class Sample:
    """One prompt, and how each system goes on."""

    prompt: str
    texts: Sequence[tuple[str, str]]
    """Name of the system, and what it writes."""


@dataclass(frozen=True)
class Samples(Block):
    """Texts side by side."""

    samples: Sequence[Sample]


@dataclass(frozen=True)
class Code(Block):
    """Lines to copy, as a command."""

    text: str


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block] = ()
    missing: Sequence[str] = ()
    """What could stand here and was not measured, with what would measure it."""

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower()).strip("-")


@dataclass(frozen=True)
class Document:
    """A whole document."""

    title: str
    headline: str
    """One sentence with what was measured."""
    about: str
    """When and by what it was made, of how much."""
    sections: Sequence[Section]
