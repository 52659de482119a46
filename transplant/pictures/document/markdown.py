"""A document as Markdown: the same content, its lineage and its bars as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from transplant.pictures.document.blocks import (
    Bars,
    Block,
    Code,
    Document,
    Facts,
    HeatMap,
    LineageBlock,
    Paragraph,
    Samples,
    Section,
    TableBlock,
)
from transplant.tables.markdown import fenced, inline, table_lines

DEEPEST = 10  # cells of a heat map that are named: Markdown has no colours


def as_markdown(document: Document) -> str:
    """The whole text."""
    lines = [f"# {inline(document.title)}", "", f"**{inline(document.headline)}**", ""]
    lines += [inline(document.about), ""]
    for section in document.sections:
        lines += [*_section(section)]
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> Iterator[str]:
    yield from (f"## {inline(section.title)}", "")
    for block in section.blocks:
        yield from _block(block)
        yield ""
    for line in section.missing:
        yield from (f"*Missing:* {inline(line)}", "")


def _block(block: Block) -> Iterator[str]:
    title = getattr(block, "title", "")
    if title:
        yield from (f"### {inline(title)}", "")
    match block:
        case Paragraph():
            yield inline(block.text)
        case Code():
            yield from fenced(block.text)
        case Facts():
            yield from _table(("", ""), block.rows)
        case TableBlock():
            yield from block.table.markdown_lines()
        case Bars():
            rows = [
                (bar.label, block.number(bar), block.bounds(bar), bar.note) for bar in block.bars
            ]
            yield from _table((block.axis, "value", "95 %", ""), rows)
        case HeatMap():
            cells = [cell for row in block.grid.rows for cell in row if cell is not None]
            largest = sorted(cells, key=lambda cell: -abs(cell["effect"]))[:DEEPEST]
            rows = [(cell["target"], f"{cell['effect']:+.4f}") for cell in largest]
            yield from _table((f"by {block.grid.title}: the largest effects", "effect"), rows)
        case LineageBlock():
            yield from _lineage(block)
        case Samples():
            yield from _samples(block)


def _lineage(block: LineageBlock) -> Iterator[str]:
    found = block.lineage
    rows: list[Sequence[str]] = []
    for number, node in enumerate(found.nodes):
        origins = ", ".join(f"{role} {parent + 1}" for parent, role in found.origins(number))
        kind = node.kind if node.held else f"{node.kind}, not in this registry"
        rows.append((str(number + 1), node.name, kind, node.sha256, origins))
    yield from _table(("", "artifact", "kind", "sha256", "made from"), rows)


def _samples(block: Samples) -> Iterator[str]:
    for sample in block.samples:
        yield from ("Prompt:", "", *fenced(sample.prompt), "")
        for name, text in sample.texts:
            yield from (f"{inline(name)}:", "", *fenced(text), "")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    right = [_numbers(row[n] for row in rows) for n in range(len(columns))]
    cells = [[*map(inline, row)] for row in rows]
    yield from table_lines([*map(inline, columns)], cells, right)


def _numbers(cells: Iterable[str]) -> bool:
    """Whether a column holds numbers, which are aligned right."""
    return all(cell[:1] in "+-.0123456789" for cell in cells)
