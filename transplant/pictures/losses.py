"""Losses of training runs against their steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.pictures.bars import CEILING, MOVED
from transplant.pictures.figures import new_figure

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
    figure = new_figure(7, 0.6 + 2.9 * len(runs))
    panels = figure.subplots(len(runs), 1, squeeze=False)[:, 0]
    for axes, (title, run) in zip(panels, runs.items(), strict=True):
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
        axes.set_title(title, fontsize=9)
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
