"""How one vocabulary is spelled in another, of its tokens and of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.pictures.figures import TITLE, WIDTH, WORDS, lines_of, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#1f6f5c", "#74a892", "#d9a441", "#c8553d", "#8a8f98")
INK = ("white", "#222", "#222", "white", "#222")
"""Of the number on each."""
WRITTEN = 0.09
"""The least share whose number fits into its bar."""


def draw_coverage(report: dict[str, Any]) -> Figure:
    """Two bars of shares by the kind of the spelling: all tokens, and those of the text."""
    from transplant.alignment.token_map import KINDS

    head = lines_of(
        f"tokens of {report['to']} in those of {report['from']};"
        f" {report['pairs']['paired_share']:.1%} of the positions pair", WIDTH,
    )  # fmt: skip
    figure = new_figure(WIDTH, 2.9 + 0.2 * head.count("\n"))
    axes = figure.add_subplot()
    ends = {"tokens": 0.0, "text": 0.0}
    for kind, colour, ink in zip((*KINDS[1:], KINDS[0]), COLOURS, INK, strict=True):
        for place, side in enumerate(ends):
            share = report[side][kind]
            axes.barh(
                place, share, left=ends[side], color=colour, height=0.6,
                label=kind if not place else None,
            )  # fmt: skip
            if share >= WRITTEN:
                axes.text(
                    ends[side] + share / 2, place, f"{share:.1%}", ha="center", va="center",
                    fontsize=WORDS, color=ink,
                )  # fmt: skip
            ends[side] += share
    axes.set_yticks([0, 1], ["tokens of the\nvocabulary", "tokens of\nthe text"])
    axes.set(xlim=(0, 1), ylim=(1.5, -0.5))
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.tick_params(axis="y", length=0)
    figure.suptitle(head, fontsize=TITLE)
    figure.legend(frameon=False, fontsize=WORDS, ncols=5, loc="outside lower center",
                  columnspacing=1.2, handlelength=1.2)  # fmt: skip
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure
