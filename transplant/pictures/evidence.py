"""Evidence as bars and lines: moves beside their controls, ablations, updates of a backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.pictures.bars import (
    CEILING,
    COLOURS,
    MOVED,
    NO_MODULE,
    OTHER,
    Bar,
    draw_bars,
)
from transplant.pictures.figures import TITLE, WIDTH, WORDS, lines_of, new_figure
from transplant.tables.systems import role_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECOVERED = "recovered: 0 the raw backbone, 1 the native"
EFFICACY = "efficacy: 0 the updated backbone without a module, 1 a native of it"
UPDATED = {"repaired": MOVED, "zero_shot": OTHER}
LINES = ("o", "s", "^", "D", "v")  # marks of modules, in turn


def draw_transfer(report: dict[str, Any]) -> Figure:
    """What a move recovers, its controls below, with 95 % intervals over documents."""
    shares, bounds = report["recovered"], report["interval"]["recovered"]
    first = [name for name in ("native", "candidate") if name in shares]
    names = [*first, *(name for name in shares if name not in first)]
    bars = [
        Bar(name.replace("_", " "), shares[name], bounds.get(name), COLOURS[role_of(name)])
        for name in names
    ]
    moved = report.get("donor", report.get("tuned"))
    title = f"{moved} → {report['target']}   (red: no donor; yellow: no module)"
    return draw_bars(bars, title=title, axis=RECOVERED)


def draw_ablation(report: dict[str, Any]) -> Figure:
    """Recovered of each cell: of objectives and controls the means, of the others every row."""
    cells = report.get("means") or report["rows"]
    bars: list[Bar] = []
    for cell in cells:
        share = cell["recovered"]
        value = share["candidate"] if isinstance(share, dict) else share
        bars.append(Bar(_cell_label(cell), value, cell["interval"], _cell_colour(cell)))
    title = f"{report['ablation']}: {report['donor']} → {report['target']}"
    return draw_bars(bars, title=title, axis=RECOVERED)


def _cell_label(cell: dict[str, Any]) -> str:
    if "shape" in cell:
        return f"{cell['shape']}, seed {cell['seed']}"
    if "objective" not in cell:
        return str(cell["name"]).replace("_", " ")
    start = "" if cell["from"] in (None, "", "nothing") else f" from {cell['from']}"
    return f"{cell['module']}: {cell['objective']}{start}"


def _cell_colour(cell: dict[str, Any]) -> str:
    module = cell.get("module")  # of a ceiling: whether there is one
    if isinstance(module, str) or "shape" in cell:
        return MOVED if module in ("donor", None) else NO_MODULE
    return {"native": CEILING, "moved": MOVED, "random": NO_MODULE}.get(cell["name"], OTHER)


def draw_invariance(report: dict[str, Any]) -> Figure:
    """What a module is still worth after an update, as it is and repaired, beside its controls."""
    weighed = {"repaired": report["repaired"], "zero_shot": report, **report["controls"]}
    bars = [
        Bar(
            name.replace("_", " "), found["efficacy"], found["interval"]["efficacy"],
            UPDATED.get(name, NO_MODULE),
        )
        for name, found in weighed.items()
    ]  # fmt: skip
    title = (
        f"{report['module']} through an update ({report['kind']}, stability"
        f" {report['stability']:g}, seeds {len(report['seeds'])}): {report['verdict']};"
        " dashed: half of what a native gains"
    )
    return draw_bars(bars, title=title, axis=EFFICACY, form=".1%", mark=0.5)


def draw_rounds(report: dict[str, Any]) -> Figure:
    """Efficacy round by round, a pair of lines for each module."""
    rounds = report["rounds"]
    labels = [
        (module, applied, lines_of(f"{module}, {applied.replace('_', ' ')}", 0.9 * WIDTH, WORDS))
        for module in rounds[0]["efficacy"]
        for applied in UPDATED
    ]
    head = lines_of(f"{len(rounds)} updates of {report['backbone']}", WIDTH)
    each = 0.8 * WIDTH / len(rounds)
    under = [f"{row['round']}\n{lines_of(row['corpus'], each, WORDS)}" for row in rounds]
    words = [head, max(under, key=lambda said: said.count("\n")), *(label for *_, label in labels)]
    figure = new_figure(WIDTH, 3.2 + 0.2 * sum(1 + said.count("\n") for said in words))
    axes = figure.add_subplot()
    places = [row["round"] for row in rounds]
    for number, (module, applied, label) in enumerate(labels):
        values = [row["efficacy"][module][applied] for row in rounds]
        axes.plot(
            places, [float("nan") if value is None else value for value in values],
            marker=LINES[number // len(UPDATED) % len(LINES)], color=UPDATED[applied], label=label,
        )  # fmt: skip
    axes.axhline(0.5, color="#444", linewidth=0.8, linestyle="--")
    axes.set_xticks(places, under, fontsize=WORDS)
    axes.margins(x=0.08)
    axes.set_xlabel("update")
    axes.set_ylabel("efficacy: 1 a native of that round")
    figure.suptitle(head, fontsize=TITLE)
    figure.legend(frameon=False, fontsize=WORDS, loc="outside lower left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
