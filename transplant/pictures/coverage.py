"""How one vocabulary is spelled in another, of its tokens and of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.pictures.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#1f6f5c", "#74a892", "#d9a441", "#c8553d", "#8a8f98")


def draw_coverage(report: dict[str, Any]) -> Figure:
    """Two bars of shares by the kind of the spelling: all tokens, and those of the text."""
    from transplant.alignment.token_map import KINDS

    figure = new_figure(8, 2.7)
    axes = figure.add_subplot()
    ends = {"tokens": 0.0, "text": 0.0}
    for kind, colour in zip((*KINDS[1:], KINDS[0]), COLOURS, strict=False):
        for place, side in enumerate(ends):
            share = report[side][kind]
            axes.barh(
                place, share, left=ends[side], color=colour, height=0.6,
                label=kind if not place else None,
            )  # fmt: skip
            if share > 0.06:
                axes.text(
                    ends[side] + share / 2, place, f"{share:.1%}", ha="center", va="center",
                    fontsize=8, color="white",
                )  # fmt: skip
            ends[side] += share
    axes.set_yticks([0, 1], ["tokens of the\nvocabulary", "tokens of\nthe text"])
    axes.set(xlim=(0, 1), ylim=(1.5, -0.5))
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.tick_params(axis="y", length=0)
    axes.set_title(
        f"tokens of {report['to']} in those of {report['from']};"
        f" {report['pairs']['paired_share']:.1%} of the positions pair", fontsize=9,
    )  # fmt: skip
    axes.legend(frameon=False, fontsize=8, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure
