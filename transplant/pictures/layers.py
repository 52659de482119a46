"""How well each layer of a donor can be read from each of a target, as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.pictures.figures import SMALL, TITLE, WIDTH, lines_of, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WRITTEN = 16  # layers of a side, at most, whose numbers fit into their cells
CELL, SMALL_CELL = 0.5, 0.28  # inches


def draw_layers(report: dict[str, Any]) -> Figure:
    """R2 on held-out pairs, layer by layer; the best layer of the target in a frame."""
    import numpy as np

    pairs = report["numbers"]["pairs"]
    donors = sorted({pair["donor"] for pair in pairs})
    targets = sorted({pair["target"] for pair in pairs})
    values = np.full((len(donors), len(targets)), np.nan)
    for pair in pairs:
        values[donors.index(pair["donor"]), targets.index(pair["target"])] = pair["r2"]
    written = max(len(donors), len(targets)) <= WRITTEN
    cell = CELL if written else SMALL_CELL
    width = max(WIDTH, 1.9 + cell * len(targets))
    head = [
        lines_of(said, width)
        for said in (
            f"R2 of each layer of {report['from']}, read from one of {report['to']}",
            "framed: the best of these; from all of them, of the layer that modules read:"
            f" {report['numbers']['r2']:.2f}",
        )
    ]
    lines = "\n".join(head).count("\n")
    down = max(2.2, cell * len(donors))
    figure = new_figure(width, 1.2 + 0.2 * lines + down)
    axes = figure.add_subplot()
    shown = axes.imshow(values, cmap="YlGnBu", vmin=0, vmax=1, origin="lower", aspect="auto")
    for row, found in enumerate(values):
        best = int(np.nanargmax(found))
        axes.plot(
            best, row, marker="s", markersize=0.6 * 72 * cell, fillstyle="none", color="#c8553d"
        )
        for column, value in enumerate(found if written else ()):
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=SMALL,
                color="white" if value > 0.6 else "#222",
            )  # fmt: skip
    axes.set_xticks(range(len(targets)), [str(layer) for layer in targets])
    axes.set_yticks(range(len(donors)), [str(layer) for layer in donors])
    axes.set(xlabel="layer that is read from", ylabel="layer that is read")
    figure.suptitle("\n".join(head), fontsize=TITLE)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=None if written else SMALL)
    figure.colorbar(shown, ax=axes, label="R2, held out").outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure
