"""How well each layer of a donor can be read from each of a target, as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.pictures.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WRITTEN = 16  # layers of a side, at most, whose numbers fit into their cells


def draw_layers(report: dict[str, Any]) -> Figure:
    """R2 on held-out pairs, layer by layer; the best layer of the target in a frame."""
    import numpy as np

    pairs = report["numbers"]["pairs"]
    donors = sorted({pair["donor"] for pair in pairs})
    targets = sorted({pair["target"] for pair in pairs})
    values = np.full((len(donors), len(targets)), np.nan)
    for pair in pairs:
        values[donors.index(pair["donor"]), targets.index(pair["target"])] = pair["r2"]
    figure = new_figure(max(6.0, 1.9 + 0.55 * len(targets)), max(3.4, 1.7 + 0.42 * len(donors)))
    axes = figure.add_subplot()
    shown = axes.imshow(values, cmap="YlGnBu", vmin=0, vmax=1, origin="lower", aspect="auto")
    for row, found in enumerate(values):
        best = int(np.nanargmax(found))
        axes.plot(best, row, marker="s", markersize=22, fillstyle="none", color="#c8553d")
        for column, value in enumerate(found if len(targets) <= WRITTEN else ()):
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=8,
                color="white" if value > 0.6 else "#222",
            )  # fmt: skip
    axes.set_xticks(range(len(targets)), [str(layer) for layer in targets])
    axes.set_yticks(range(len(donors)), [str(layer) for layer in donors])
    axes.set(xlabel=f"layer of {report['to']}", ylabel=f"layer of {report['from']}")
    axes.set_title(
        f"R2 of each layer of {report['from']}, read from one of {report['to']}\n"
        f"from all of them, of the layer that modules read: {report['numbers']['r2']:.2f}",
        fontsize=9,
    )  # fmt: skip
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(shown, ax=axes, label="R2, held out").outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure
