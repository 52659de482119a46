"""A lineage: artifacts by hash, what each was made from, and the graph as SVG."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 340  # units of the drawing: about the pixels of a telephone, so that its words stay legible
# As attributes, for readers of SVG that know no styles of the page; a page's own go before them.
FILL, LINES, WORDS, QUIET = "#f3f2ef", "#8a8881", "#222222", "#62605b"
LANE, LINE, GAP, TEXT, LETTERS = 11, 16, 14, 12, 36


@dataclass(frozen=True)
class Node:
    """One artifact."""

    name: str
    kind: str
    sha256: str
    held: bool = True
    """Whether the library has it, so that more than its hash is known."""


@dataclass(frozen=True)
class Edge:
    """That one artifact was made from another."""

    parent: int
    """Index of the node."""
    child: int
    """Index of the node, after its parent's."""
    role: str
    """What the parent is to the child."""


@dataclass(frozen=True)
class Lineage:
    """Artifacts, parents before their children, and what connects them."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]

    def origins(self, child: int) -> list[tuple[int, str]]:
        """The parents of a node and their roles, in order."""
        found = [(edge.parent, edge.role) for edge in self.edges if edge.child == child]
        return sorted(found)

    def lines(self, index: int) -> list[str]:
        """What is said of a node: its name, what it is, its hash, what it was made from."""
        node = self.nodes[index]
        said = textwrap.wrap(f"{index + 1}  {node.name}", LETTERS, break_on_hyphens=True)
        said.append(node.kind if node.held else f"{node.kind}, not in this registry")
        said.append(f"sha256 {node.sha256[:16]}")
        origins = ", ".join(f"{role} {parent + 1}" for parent, role in self.origins(index))
        return said + (textwrap.wrap(f"from {origins}", LETTERS) if origins else [])


def draw_lineage(lineage: Lineage) -> str:
    """The graph as an `<svg>` element: one artifact below the other, arrows in the margin.

    Colours are the classes `node`, `edge`, `strong` and `quiet` of the page's style.
    """
    edges = sorted(lineage.edges, key=lambda edge: -edge.parent)
    # A lane for each parent: its arrows part from one line.
    lanes = {parent: lane for lane, parent in enumerate(dict.fromkeys(e.parent for e in edges))}
    margin = 20 + LANE * len(lanes)
    boxes: list[str] = []
    middles: list[float] = []
    top = 2.0
    for index in range(len(lineage.nodes)):
        lines = lineage.lines(index)
        height = LINE * len(lines) + 12
        boxes.append(_box(lineage, index, lines, margin, top, height))
        middles.append(top + height / 2)
        top += height + GAP
    arrows = [_arrow(edge, lanes[edge.parent], margin, middles) for edge in edges]
    size = f'viewBox="0 0 {WIDTH + margin} {top:.0f}"'
    label = "Lineage: what was made from what"
    return (
        f'<svg class="lineage" font-family="sans-serif" {size} role="img" aria-label="{label}">'
        + "".join((*arrows, *boxes))
        + "</svg>"
    )


def _box(
    lineage: Lineage, index: int, lines: Sequence[str], left: float, top: float, height: float
) -> str:
    node = lineage.nodes[index]
    named = len(textwrap.wrap(f"{index + 1}  {node.name}", LETTERS, break_on_hyphens=True))
    dashes = "" if node.held else ' stroke-dasharray="4 3"'
    drawn = [
        f'<rect class="node" fill="{FILL}" stroke="{LINES}" x="{left}" y="{top:.0f}"'
        f' width="{WIDTH - 2}" height="{height:.0f}" rx="6"{dashes}/>'
    ]
    for number, line in enumerate(lines):
        style = (
            f'class="strong" font-weight="bold" fill="{WORDS}"'
            if number < named else f'class="quiet" fill="{QUIET}"'
        )  # fmt: skip
        y = top + 6 + LINE * (number + 0.75)
        drawn.append(
            f'<text {style} x="{left + 10}" y="{y:.0f}" font-size="{TEXT}">{escape(line)}</text>'
        )
    return "".join(drawn)


def _arrow(edge: Edge, lane: int, margin: float, middles: Sequence[float]) -> str:
    """From the side of the parent, by its lane, to the side of the child."""
    x = margin - 14 - LANE * lane
    start, end = middles[edge.parent] + 5, middles[edge.child] - 8 + 5 * (lane % 3)
    path = f"M{margin} {start:.0f} H{x} V{end:.0f} H{margin - 5}"
    head = f"M{margin - 6} {end - 3:.0f} L{margin} {end:.0f} L{margin - 6} {end + 3:.0f} Z"
    return (
        f'<path class="edge" fill="none" stroke="{LINES}" d="{path}"/>'
        f'<path class="head" fill="{LINES}" d="{head}"/>'
    )
