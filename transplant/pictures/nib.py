"""The four criteria of a NIB against their thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.pictures.bars import MOVED, NO_DONOR
from transplant.pictures.figures import SMALL, TITLE, WIDTH, WORDS, lines_of, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {
    "top5": "top-5 agreement",
    "top1": "top-1 agreement",
    "js": "Jensen-Shannon divergence, nats",
    "entropy": "entropy difference, nats",
}


def draw_nib(report: dict[str, Any]) -> Figure:
    """A panel for each criterion: its mean and 95 % interval over chunks; the shade passes."""
    head = lines_of(f"{report['candidate']} against {report['anchor']}: {report['verdict']}", WIDTH)
    figure = new_figure(WIDTH, 4.2 + 0.2 * head.count("\n"))
    panels = figure.subplots(4, 1)
    for axes, (name, said) in zip(panels, NAMES.items(), strict=True):
        threshold, (low, high) = report["thresholds"][name], report["interval"][name]
        most = 1.0 if name.startswith("top") else 1.15 * max(high, threshold)
        passes = (threshold, most) if name.startswith("top") else (0, threshold)
        colour = NO_DONOR if report["verdicts"][name] == "fail" else MOVED
        axes.axvspan(*passes, color=MOVED, alpha=0.12, linewidth=0)
        axes.axvline(threshold, color="#444", linewidth=0.8, linestyle="--")
        axes.plot([low, high], [0, 0], color=colour, linewidth=2)
        axes.plot([report[name]], [0], marker="o", color=colour)
        axes.set(xlim=(0, most), ylim=(-1, 1), yticks=[])
        axes.set_title(
            f"{said}: {report[name]:.4f} (threshold {threshold:g}), {report['verdicts'][name]}",
            fontsize=WORDS, loc="left",
        )  # fmt: skip
        axes.tick_params(labelsize=SMALL)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(head, fontsize=TITLE)
    return figure
