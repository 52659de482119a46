"""A table that cuts nothing: where it does not fit, words wrap, and then its lines are longer."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table

WIDE = 100_000  # columns; no cell is wider
READABLE = 24  # columns that text which may wrap takes at least, where it has as many


class WholeTable(Table):
    """A table whose names, numbers and hashes are whole at any width.

    A column that may not wrap is as wide as its widest cell, one that may wraps between words.
    Title and caption are as wide as the terminal, not as the table.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        title, caption = self.title, self.caption
        self.title = self.caption = None
        try:
            if title:
                yield console.render_str(str(title), style=self.title_style or "")
            wide = options.update(max_width=WIDE)
            for column in self.columns:
                _keep_whole(column, console, wide)
            needed = Measurement.get(console, wide, self).minimum
            room = options.update(max_width=max(needed, options.max_width))
            yield from super().__rich_console__(console, room)
            if caption:
                yield console.render_str(str(caption), style="dim italic")
        finally:
            self.title, self.caption = title, caption


def _keep_whole(column: Column, console: Console, wide: ConsoleOptions) -> None:
    cells = [cell for cell in (column.header, *column.cells) if cell]
    sizes = [Measurement.get(console, wide, cell) for cell in cells]
    widest = max((size.maximum for size in sizes), default=0)
    word = max((size.minimum for size in sizes), default=0)
    column.min_width = widest if column.no_wrap else max(word, min(widest, READABLE))
    column.overflow = "fold"


def table(title: str, *columns: str) -> Table:
    """A plain table; the first column is left-aligned, the others right."""
    made = WholeTable(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=True)
    return made
