"""Flow of advice as a chart: the questions with their measured numbers, and the way through them.

One narrow column of questions with what follows from each beside it, in units that are pixels on a
phone. Colours come from the classes of the page's own style; without one it is black on white.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

ROW, TOP, LEFT, RIGHT = 84, 8, 4, 212
WIDTH, ASK, DO = 366, 172, 142
"""Of the chart, of a question and of what follows."""
LINE, ROUND, LETTERS = 16, 14, 23


@dataclass(frozen=True)
class Box:
    """A question, or something to do."""

    row: int
    lines: tuple[str, ...]
    """The first is its name, the others are numbers."""
    right: bool = False
    asks: bool = False
    on: bool = False
    """Whether the way leads through it."""

    @property
    def width(self) -> int:
        """In units of the chart."""
        return DO if self.right else ASK

    @property
    def x(self) -> int:
        """Of its left edge."""
        return RIGHT if self.right else LEFT

    @property
    def y(self) -> int:
        """Of its upper edge."""
        return TOP + self.row * ROW

    @property
    def height(self) -> int:
        """In units of the chart."""
        return 14 + LINE * len(self.lines)


@dataclass(frozen=True)
class Way:
    """An arrow from one box to another."""

    start: str
    end: str
    said: str = ""
    on: bool = False


def draw_flow(report: Mapping[str, Any]) -> str:
    """The chart as an `<svg>` element.

    Args:
        report: of advice, with `from`, `to`, `strategy` and `answers`.
    """
    answers = {one["question"]: one for one in report["answers"]}
    on = _taken(str(report["strategy"]), {name: bool(one["yes"]) for name, one in answers.items()})
    boxes = _boxes(report, answers, on)
    height = max(box.y + box.height for box in boxes.values()) + TOP
    drawn = [
        f'<g class="{"on" if taken else "off"}">'
        + "".join(_arrow(way, boxes) for way in _ways(on) if way.on == taken)
        + "".join(_box(box) for box in boxes.values() if box.on == taken)
        + "</g>"
        for taken in (False, True)  # the way lies over what is not on it
    ]
    title = escape(f"{report['from']} to {report['to']}: {report['strategy']}")
    return (
        f'<svg class="flow" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" font-size="13" font-family="system-ui, sans-serif">'
        f"<title>{title}</title>{''.join(drawn)}</svg>"
    )


def _taken(strategy: str, yes: Mapping[str, bool]) -> dict[str, bool]:
    """Whether the way leads through each box, by the strategy that it has led to."""
    parts = set(strategy.split(" + "))
    paste = "paste" in parts
    mapped = not paste and yes["aligned?"]
    strange, weighty = not paste and not mapped, yes["high-impact parts?"]
    return {
        "paste": paste, "aligned": not paste, "impact": strange,
        "inject": strange and weighty, "native": strange and not weighty,
        "tokens": mapped, "embed": "embed-init" in parts, "some": mapped,
        "train": "train, then transfer" in parts, "tasks": mapped, "fuse": "fuse" in parts,
        "move": mapped and "fuse" not in parts, "gate": "gate" in parts,
        "there": bool(parts & {"done", "gate"}), "kept": yes.get("no regress?", False),
    }  # fmt: skip


def _boxes(
    report: Mapping[str, Any], answers: Mapping[str, Any], on: Mapping[str, bool]
) -> dict[str, Box]:
    def ask(row: int, name: str, question: str, taken: bool, right: bool = False) -> Box:
        lines = (name, _number(answers.get(question)))
        return Box(row, lines, right=right, asks=True, on=taken)

    def do(row: int, taken: bool, *lines: str) -> Box:
        return Box(row, lines, right=True, on=taken)

    found = answers.get("several candidates?", {}).get("number")
    some = ("a candidate?", "not counted" if found is None else f"{found:g} in the registry")
    ends = (_cut(str(report["from"])), _cut(f"to {report['to']}"))
    return {
        "start": Box(0, ends, on=True),
        "space": ask(1, "the same space?", "the same space?", True),
        "paste": do(1, on["paste"], "paste the bytes"),
        "aligned": ask(2, "aligned?", "aligned?", on["aligned"]),
        "impact": ask(2, "high impact?", "high-impact parts?", on["impact"], right=True),
        "inject": do(3, on["inject"], "inject the part", "behind bridges"),
        "native": do(4, on["native"], "train a module", "on the target"),
        "tokens": ask(5, "one vocabulary?", "one vocabulary?", on["tokens"]),
        "embed": do(5, on["embed"], "embed-init", "the donor's tokens"),
        "some": Box(6, some, asks=True, on=on["some"]),
        "train": do(6, on["train"], "train a module", "in the donor"),
        "tasks": ask(7, "one task?", "one task?", on["tasks"]),
        "fuse": do(7, on["fuse"], "transfer each,", "fuse them"),
        "move": Box(8, ("is there already" if on["there"] else "transfer",), on=on["move"]),
        "proof": Box(9, ("validate + UQ",), on=True),
        "pairs": do(9, True, "minimal pairs", "cfgen, cfeval"),
        "regress": ask(10, "no regress, routed?", "no regress?", True),
        "gate": do(10, on["gate"], "gate", "to its own text"),
        "pages": Box(11, ("report + studio",), on=True),
    }  # fmt: skip


def _ways(on: Mapping[str, bool]) -> list[Way]:
    straight = on["tasks"] and not on["fuse"]
    return [
        Way("start", "space", on=True),
        Way("space", "paste", "yes", on["paste"]), Way("space", "aligned", "no", on["aligned"]),
        Way("aligned", "impact", "no", on["impact"]), Way("aligned", "tokens", "yes", on["tokens"]),
        Way("impact", "inject", "yes", on["inject"]), Way("inject", "native", "no", on["native"]),
        Way("tokens", "embed", "no", on["embed"]),
        Way("tokens", "some", "yes", on["tokens"] and not on["embed"]),
        Way("embed", "some", on=on["embed"]),
        Way("some", "train", "no", on["train"]),
        Way("some", "tasks", "yes", on["some"] and not on["train"]),
        Way("train", "tasks", on=on["train"]),
        Way("tasks", "fuse", "no", on["fuse"]), Way("tasks", "move", "yes", straight),
        *(Way(name, "proof", on=on[name]) for name in ("paste", "inject", "native", "fuse")),
        Way("move", "proof", on=on["move"]),
        Way("proof", "pairs", on=True), Way("proof", "regress", on=True),
        Way("regress", "gate", "no", on["gate"]), Way("gate", "pages", on=on["gate"]),
        Way("regress", "pages", "yes" if on["kept"] else "", not on["gate"]),
    ]  # fmt: skip


def _number(answer: Mapping[str, Any] | None) -> str:
    """The measured number beside the threshold."""
    if answer is None or answer["number"] is None:
        return "not measured"
    number, threshold = (f"{float(answer[name]):.3g}" for name in ("number", "threshold"))
    return f"{number}, threshold {threshold}"


def _box(box: Box) -> str:
    weight, middle = (' font-weight="600"', ""), box.x + box.width / 2
    lines = [
        f'<text x="{middle:g}" y="{box.y + 20 + LINE * n}" text-anchor="middle"'
        f"{weight[n > 0]}>{escape(line)}</text>"
        for n, line in enumerate(box.lines)
    ]
    return (
        f'<g><rect x="{box.x}" y="{box.y}" width="{box.width}" '
        f'height="{box.height}" rx="{ROUND if box.asks else 4}" fill="#fff" stroke="#222" '
        f'stroke-width="{2 if box.on else 1}"/>{"".join(lines)}</g>'
    )


def _arrow(way: Way, boxes: Mapping[str, Box]) -> str:
    start, end = boxes[way.start], boxes[way.end]
    said, down = (0, 0), start.y + start.height
    if start.row == end.row:
        y = start.y + 22
        path, tip = f"M{start.x + start.width} {y}H{end.x}", (end.x, y, "right")
        said = (start.x + start.width + 4, y - 5)
    elif start.x == end.x:
        x = start.x + 24
        path, tip = f"M{x} {down}V{end.y}", (x, end.y, "down")
        said = (x + 7, down + 15)
    elif end.row == start.row + 1:  # back to the questions
        x, y = LEFT + ASK - 24, end.y - 14
        path, tip = f"M{start.x + 24} {down}V{y}H{x}V{end.y}", (x, end.y, "down")
    else:  # past all that stands between
        x, y = LEFT + ASK - 24, end.y - 20
        path = f"M{start.x + start.width} {start.y + 22}H{WIDTH - 3}V{y}H{x}V{end.y}"
        tip = (x, end.y, "down")
    words = f'<text x="{said[0]}" y="{said[1]}" font-size="12">{escape(way.said)}</text>'
    return (
        f'<g><path d="{path}" fill="none" stroke="#222" '
        f'stroke-width="{2 if way.on else 1}"/>{_tip(*tip)}{words if way.said else ""}</g>'
    )


def _tip(x: float, y: float, toward: str) -> str:
    corners = {"right": ((-7, -4), (-7, 4)), "down": ((-4, -7), (4, -7))}[toward]
    points = " ".join(f"{x + dx:g},{y + dy:g}" for dx, dy in ((0, 0), *corners))
    return f'<polygon points="{points}" fill="#222"/>'


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
