"""Tables and sheets of the library, drawn for a terminal: whole at any width."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from commands.errors import typed_as
from transplant.tables.table import Sheet, Table
from transplant.tables.words import Emphasis, Marked, Words, parts_of, plain

WIDE = 100_000  # columns; no cell is wider
READABLE = (24, 20, 16, 12)
"""Columns that text which may wrap takes at least, where it has as many: the first that fit."""
STYLES: dict[Emphasis, str] = {"strong": "bold", "faint": "dim", "bad": "red"}


def drawn(shown: Table | Sheet | Words) -> RenderableType:
    """What Rich prints of a table, of a sheet or of words.

    A table's names, numbers and hashes are whole: a column that may not wrap is as wide as its
    widest cell, one that may wraps between words, and where that does not fit, lines are longer.
    """
    if isinstance(shown, Sheet):
        return Group(*map(drawn, shown.parts))
    if isinstance(shown, Table):
        return _WholeTable(shown)
    return Group(text_of(shown))  # outside of a group Rich forgets how a text may be broken


def text_of(words: Words, style: str = "") -> Text:
    """Words with their emphasis as styles, calls of the library as they are typed."""
    made = Text(style=style)
    for own, pieces in groupby(_pieces(words, ""), key=itemgetter(1)):
        made.append("".join(text for text, _ in pieces), own or None)
    if isinstance(words, Marked) and words.emphasis == "code":
        made.no_wrap, made.overflow = True, "ignore"
    elif isinstance(words, Marked) and words.emphasis == "quote":
        made.overflow = "fold"
    return made


def _pieces(words: Words, style: str) -> Iterator[tuple[str, str]]:
    """Pieces of text, each with its style."""
    if isinstance(words, Marked):
        style = f"{style} {STYLES.get(words.emphasis, '')}".strip()
        if words.emphasis == "call":
            yield typed_as(plain(words), {}), style
            return
        words = words.parts
    for part in parts_of(words):
        if isinstance(part, str):
            yield part, style
        else:
            yield from _pieces(part, style)


class _WholeTable:
    """A table of the library, its title and notes as wide as the terminal."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self._table
        if table.title:
            yield text_of(table.title, "bold")
        named = any(column.header.strip() for column in table.columns)
        grid = RichTable(box=None, pad_edge=False, show_header=named)
        for column in table.columns:
            justify = "right" if column.right else "left"
            grid.add_column(Text(column.header), justify=justify, no_wrap=not column.wraps)
        for row in table.rows:
            grid.add_row(*map(text_of, row))
        needed = _keep_whole(grid, console, options)
        yield from _bare(console, grid, options.update(max_width=max(needed, options.max_width)))
        for note in table.notes:
            yield text_of(note, "dim italic")


def _keep_whole(grid: RichTable, console: Console, options: ConsoleOptions) -> int:
    """Sets the least width of each column; returns that of the table.

    Where it fits by no narrower text, text is as wide as is best to read, and lines are longer.
    """
    wide, needed = options.update(max_width=WIDE), WIDE
    for readable in (*READABLE, READABLE[0]):
        for column in grid.columns:
            _set_width(column, console, wide, readable)
        needed = Measurement.get(console, wide, grid).minimum
        if needed <= options.max_width:
            break
    return needed


def _set_width(column: Column, console: Console, wide: ConsoleOptions, readable: int) -> None:
    cells = [cell for cell in (column.header, *column.cells) if cell]
    sizes = [Measurement.get(console, wide, cell) for cell in cells]
    widest = max((size.maximum for size in sizes), default=0)
    word = max((size.minimum for size in sizes), default=0)
    column.min_width = widest if column.no_wrap else max(word, min(widest, readable))
    column.overflow = "fold"


def _bare(console: Console, grid: RichTable, options: ConsoleOptions) -> Iterator[Segment]:
    """The lines of a table without blanks at their ends: a narrower terminal would break them."""
    for line in console.render_lines(grid, options, pad=False):
        while line and not line[-1].text.strip():
            line.pop()
        if line:
            last = line.pop()
            line.append(Segment(last.text.rstrip(), last.style))
        yield from line
        yield Segment.line()
