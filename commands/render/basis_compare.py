"""A comparison of adapters: a table, and domain loss against forgetting as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from commands.output import table
from commands.render.picture import write_with_picture
from commands.render.shares import bounds_text

BASIS, PEER = "#1f6f5c", "#8a8f98"


def compare_table(report: dict[str, Any]) -> Table:
    """A row for each method; differences are in nats per token on held-out documents."""
    shown = table(
        f"{report['backbone']} to {report['domain']}: {report['budget']:,} parameters "
        f"({report['like']})",
        "method", "rate", "trained", "domain", "forgets", "basis - it", "95 %", "start s", "s",
    )  # fmt: skip
    raw = report["raw"]
    shown.add_row("raw", "", "0", f"{raw['domain']:.4f}", "0", "", "", "", "")
    for row in report["rows"]:
        if "unavailable" in row:
            shown.add_row(row["method"], "not run")
            continue
        it = row.get("basis_minus_it")
        shown.add_row(
            row["method"], f"{row['rate']:g}", f"{row['trainable']:,}", f"{row['domain']:.4f}",
            f"{row['forgetting']:+.4f}", "" if it is None else f"{it['mean']:+.4f}",
            "" if it is None else bounds_text(it["interval"]), f"{row['prepare_seconds']:.1f}",
            f"{row['train_seconds']:.1f}",
        )  # fmt: skip
    notes = [f"{r['method']}: {r['unavailable']}" for r in report["rows"] if "unavailable" in r]
    if "verdict" in report:
        notes.insert(0, f"against {report['best_peer']}, the best peer: {report['verdict']}")
    shown.caption = "\n".join(notes) or None
    return shown


def write_comparison(folder: Path, report: dict[str, Any]) -> list[str]:
    """Writes `compare.json` and `compare.png` into a folder and returns their paths.

    Raises:
        StorageError: the disk refused.
    """
    return write_with_picture(folder, "compare", report, draw)


def draw(path: Path, report: dict[str, Any]) -> None:
    """Held-out domain loss against forgetting, a point for each method; lower left is better."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row in report["rows"]:
        if "unavailable" in row:
            continue
        name = row["method"]
        colour = BASIS if name.startswith("basis") else PEER
        axes.scatter(row["forgetting"], row["domain"], color=colour, s=28)
        place = (row["forgetting"], row["domain"])
        axes.annotate(name, place, (4, 3), textcoords="offset points", fontsize=7)
    axes.set_xlabel(f"forgetting: loss on {report['other']}, nats per token more than raw")
    axes.set_ylabel(f"loss on {report['domain']}, nats per token")
    axes.set_title(f"{report['backbone']}, {report['budget']:,} parameters", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png", dpi=144, metadata={"Software": None})
