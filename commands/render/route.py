"""Routing by uncertainty as tables and as a plot of risk against coverage."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.json_text import to_json
from commands.output import table, write_files
from commands.render.curve_plot import require_matplotlib

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["require_matplotlib", "route_tables", "write_route"]

ROUTED, SELECTIVE, RANDOM = "#1f6f5c", "#3b6ea5", "#8a8f98"
RISKS = {"selective": "of the tokens that it keeps", "routed": "of all tokens, routed"}


def route_tables(report: dict[str, Any]) -> Group:
    """The threshold, what it does, and areas against random routing."""
    from rich.console import Group

    tau = "none: all is routed" if report["tau"] is None else f"{report['tau']:.4f} nats"
    how = "chosen on the other half" if report["chosen"] else "given"
    judged = report["judged"]
    shown = table(
        f"{report['model']} | {report['baseline']}  by {report['by'].replace('_', ' ')}",
        f"{judged['tokens']:,} tokens, {judged['documents']} documents", "",
    )  # fmt: skip
    shown.add_row("tau", f"{tau} ({how})")
    shown.add_row("coverage", f"{100 * report['coverage']:.1f} %")
    for name, nats in report["nats"].items():
        if nats is not None:
            shown.add_row(f"nats per token, {name}", f"{nats:.4f}")
    shown.add_row(f"regress, nats (budget {report['budget']:g})", _bounds(report["regress"]))
    gains = table("\narea under risk over coverage", "random less routed by uncertainty", "nats")
    for name, said in RISKS.items():
        gains.add_row(said, _bounds(report["areas"][name]))
    files = report.get("files", [])
    return Group(shown, gains, *(["\n" + "\n".join(files)] if files else []))


def write_route(folder: Path, report: dict[str, Any]) -> list[str]:
    """Writes `route.json` and `route.png` into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    files = {"route.json": (to_json(report, 1) + "\n").encode(), "route.png": draw_route(report)}
    return write_files(folder, files)


def draw_route(report: dict[str, Any]) -> bytes:
    """Both risks against coverage, with those of random routing, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    covered = [point["coverage"] for point in report["curve"]]
    for axes, (name, said), colour in zip(panels, RISKS.items(), (SELECTIVE, ROUTED), strict=True):
        risk = [point[name] for point in report["curve"]]
        axes.plot(covered, risk, color=colour, label=f"by {report['by'].replace('_', ' ')}")
        ends = [risk[-1] if name == "selective" else risk[0], risk[-1]]
        axes.plot([0, 1], ends, color=RANDOM, linestyle="--", label="at random")
        axes.set(xlabel="share of tokens that the model keeps", ylabel="nats per token")
        gain = report["areas"][name]
        axes.set_title(
            f"{said}\nrandom less routed: {gain['nats']:.4f} ({gain['low']:.4f} to"
            f" {gain['high']:.4f})",
            fontsize=9,
        )  # fmt: skip
        axes.axvline(report["coverage"], color="#444", linewidth=0.8, label="at tau")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{report['model']}, else {report['baseline']}", fontsize=10)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=144, metadata={"Software": None})
    return buffer.getvalue()


def _bounds(value: dict[str, float]) -> str:
    return f"{value['nats']:.4f} ({value['low']:.4f} .. {value['high']:.4f})"
