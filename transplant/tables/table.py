"""Tables as data, and sheets of tables and lines: text, Markdown and HTML of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transplant.tables.markdown import fenced, table_lines
from transplant.tables.words import Marked, Words, as_html, as_markdown, plain


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    header: str
    right: bool = False
    """Whether it is aligned right, as numbers are."""
    wraps: bool = False
    """Whether its text may be broken between words."""


def left(header: str) -> Column:
    """A column of words, none of which is broken."""
    return Column(header)


def prose(header: str) -> Column:
    """A column of sentences, which wrap where there is no room."""
    return Column(header, wraps=True)


class Table:
    """Rows under columns, in sections.

    Args:
        title: what stands above it.
        columns: headers; of those that are text the first is aligned left, the others right.
    """

    def __init__(self, title: str, *columns: str | Column) -> None:
        self.title = title
        self.columns = tuple(
            column if isinstance(column, Column) else Column(column, right=number > 0)
            for number, column in enumerate(columns)
        )
        self.rows: list[tuple[Words, ...]] = []
        self.ends: list[int] = []
        """After how many rows a section ends."""
        self.notes: list[Words] = []
        """Lines that stand below it."""

    def add(self, *cells: Words) -> None:
        """Adds a row; cells that are lacking at its end are empty.

        Raises:
            ValueError: more cells than columns.
        """
        lacking = len(self.columns) - len(cells)
        if lacking < 0:
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(cells + ("",) * lacking)

    def end_section(self) -> None:
        """Parts the rows so far from those that follow."""
        self.ends.append(len(self.rows))

    def note(self, *lines: Words | None) -> None:
        """Adds lines below it; what is empty is none."""
        self.notes += [line for line in lines if line]

    @property
    def sections(self) -> list[list[tuple[Words, ...]]]:
        """The rows by section, without empty ones."""
        bounds = [0, *self.ends, len(self.rows)]
        parts = [self.rows[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]
        return [part for part in parts if part]

    def __str__(self) -> str:
        """Text in columns, as wide as its widest cells."""
        headers = [column.header for column in self.columns]
        breaks = max((header.count("\n") for header in headers), default=0)
        headers = ["\n" * (breaks - header.count("\n")) + header for header in headers]
        rows = [headers] if any(map(str.strip, headers)) else []
        rows += [[*map(plain, row)] for row in self.rows]
        lines = [self.title] if self.title else []
        widths = [max((_width(row[n]) for row in rows), default=0) for n in range(len(headers))]
        lines += [line for row in rows for line in self._lines(row, widths)]
        return "\n".join([*lines, *map(plain, self.notes)])

    def _lines(self, row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
        cells = [cell.split("\n") for cell in row]
        for number in range(max(map(len, cells))):
            line = []
            for cell, column, width in zip(cells, self.columns, widths, strict=True):
                text = cell[number] if number < len(cell) else ""
                space = " " * (width - _width(text))
                line.append(space + text if column.right else text + space)
            yield "  ".join(line).rstrip()

    def markdown_lines(self) -> Iterator[str]:
        """Its columns and rows as lines of Markdown."""
        columns = [as_markdown(column.header) for column in self.columns]
        rows = [[*map(as_markdown, row)] for row in self.rows]
        yield from table_lines(columns, rows, [column.right for column in self.columns])

    def to_markdown(self) -> str:
        """A table of Markdown, its title in bold above it, its notes below."""
        title = as_markdown(self.title).strip()
        lines = [f"**{title}**", ""] if title else []
        lines += self.markdown_lines()
        for note in self.notes:
            lines += ["", as_markdown(note)]
        return "\n".join(lines) + "\n"

    def _repr_html_(self) -> str:
        """A `<table>` as a notebook shows it; all text is escaped."""
        styles = [
            f"text-align: {'right' if column.right else 'left'}"
            + ("" if column.wraps else "; white-space: nowrap")
            for column in self.columns
        ]
        heads = [as_html(column.header) for column in self.columns]
        head = _html_row("th", heads, styles) if any(heads) else ""
        bodies = (
            "".join(_html_row("td", [*map(as_html, row)], styles) for row in section)
            for section in self.sections
        )
        title = f'<caption style="text-align: left">{as_html(self.title.strip())}</caption>'
        notes = "<br>".join(map(as_html, self.notes))
        foot = f'<tfoot><tr><td colspan="{len(heads)}">{notes}</td></tr></tfoot>'
        return (
            f"<table>{title if self.title else ''}<thead>{head}</thead>"
            + "".join(f"<tbody>{body}</tbody>" for body in bodies)
            + (foot if notes else "")
            + "</table>"
        )


class Sheet:
    """Tables and lines of words, one after the other.

    Args:
        parts: tables, words, and other sheets, whose parts they become.
    """

    def __init__(self, *parts: Table | Words | Sheet) -> None:
        self.parts: tuple[Table | Words, ...] = tuple(
            one for part in parts for one in (part.parts if isinstance(part, Sheet) else (part,))
        )

    def __str__(self) -> str:
        """All of it as text."""
        return "\n".join(
            str(part) if isinstance(part, Table) else plain(part) for part in self.parts
        )

    def to_markdown(self) -> str:
        """Tables and paragraphs of Markdown; what is code or quoted stands in a fence."""
        blocks = (_markdown_of(part) for part in self.parts)
        return "\n\n".join(block for block in blocks if block) + "\n"

    def _repr_html_(self) -> str:
        """All of it as a notebook shows it; all text is escaped."""
        return "".join(map(_html_of, self.parts))


def _markdown_of(part: Table | Words) -> str:
    if isinstance(part, Table):
        return part.to_markdown().strip()
    if _is_block(part):
        return "\n".join(fenced(plain(part).strip("\n")))
    return as_markdown(part).strip()


def _html_of(part: Table | Words) -> str:
    if isinstance(part, Table):
        return part._repr_html_()
    tag = "pre" if _is_block(part) else "p"
    return f"<{tag}>{as_html(part)}</{tag}>"


def _is_block(words: Words) -> bool:
    """Whether the words stand for themselves, line by line."""
    return isinstance(words, Marked) and words.emphasis in ("code", "quote")


def _html_row(tag: str, cells: Sequence[str], styles: Sequence[str]) -> str:
    both = zip(cells, styles, strict=True)
    return "<tr>" + "".join(f'<{tag} style="{s}">{cell}</{tag}>' for cell, s in both) + "</tr>"


def _width(text: str) -> int:
    """Columns of a terminal that the widest line takes; of East Asian letters two each."""
    lines = text.split("\n")
    return max(sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in s) for s in lines)
