"""Text and tables as Markdown that shows them as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_EDGE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # within a word it is no emphasis


def escaped(text: str) -> str:
    """Text on one line, as part of one: no HTML, no emphasis, no heading."""
    plain = re.sub(r"\s+", " ", text)
    for char in "\\`*<>[]#":
        plain = plain.replace(char, "\\" + char)
    return _EDGE.sub(r"\\_", plain)


def inline(text: str) -> str:
    """Text that Markdown shows as it is, on a line of its own."""
    return escaped(text.strip())


def fenced(text: str) -> Iterator[str]:
    """Lines of text as they are, in a fence that is longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from (fence, *text.splitlines(), fence)


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]
) -> Iterator[str]:
    """Lines of a table.

    Args:
        columns: their headers, as Markdown.
        rows: cells, as Markdown.
        right: which columns are aligned right.
    """
    yield _row(columns)
    yield "|" + "|".join("---:" if at_right else "---" for at_right in right) + "|"
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
