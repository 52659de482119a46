"""Losses of training runs against their steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.pictures.bars import CEILING, MOVED
from transplant.pictures.figures import TITLE, WIDTH, WORDS, lines_of, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def losses_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """The losses in a report, or in the manifest of an artifact: runs by their title.

    Raises:
        InputError: it holds none.
    """
    found = report.get("losses") or (report.get("made") or {}).get("losses")
    if not found:
        raise InputError(
            "no losses are recorded there",
            expected="an artifact trained by steps, by a version that records losses",
        )  # fmt: skip
    return dict(found)


def draw_losses(report: Mapping[str, Any]) -> Figure:
    """A panel for each run: the loss of its batches, and the held-out loss of each look.

    Args:
        report: what holds `losses`, as `transplant.losses.LossRecord` gives them.
    """
    runs = losses_of(report)
    heads = [lines_of(title, 0.85 * WIDTH) for title in runs]
    lines = sum(1 + head.count("\n") for head in heads)
    figure = new_figure(WIDTH, 0.4 + 2.7 * len(runs) + 0.2 * lines)
    panels = figure.subplots(len(runs), 1, squeeze=False)[:, 0]
    for axes, head, run in zip(panels, heads, runs.values(), strict=True):
        marker = "." if len(run["steps"]) == 1 else None
        axes.plot(
            run["steps"], run["loss"], color=CEILING, linewidth=1, marker=marker, label="batch"
        )
        if run["held"]:
            steps, losses = zip(*run["held"], strict=True)
            axes.plot(
                steps, losses, color=MOVED, marker="o", markersize=4, label="calibration split"
            )
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="step", ylabel="loss, nats per token" if run["nats"] else "loss")
        axes.set_title(head, fontsize=TITLE)
        axes.legend(frameon=False, fontsize=WORDS)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
