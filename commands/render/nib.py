"""The NIB and its power as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from commands.output import table

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor

    from transplant.text.windows import Window

    Logits = Callable[[Window], Tensor]


def nib_table(report: dict[str, Any]) -> Table:
    """The four numbers against their thresholds."""
    title = f"NIB  {report['candidate']} against {report['anchor']}"
    shown = table(title, "", "mean", "95 %", "threshold", "")
    for name, threshold in report["thresholds"].items():
        low, high = report["interval"][name]
        sign = ">=" if name.startswith("top") else "<"
        shown.add_row(
            name, f"{report[name]:.4f}", f"{low:.4f} .. {high:.4f}",
            f"{sign} {threshold:.3f}", report["verdicts"][name],
        )  # fmt: skip
    shown.add_row("verdict", "", "", "", f"[bold]{report['verdict']}[/bold]")
    return shown


def sources_nib_table(sources: dict[str, Any]) -> Table:
    """The benchmark on the source that was trained on, and on others."""
    shown = table("\nin source and out of source", "", "top5", "top1", "js", "entropy", "")
    for name, found in {"in source": sources["in_source"], **sources["out_of_source"]}.items():
        nib = found["nib"]
        if nib["pass"] is None:
            shown.add_row(name, "", "", "", "", "too short")
        else:
            numbers = (f"{nib[key]:.4f}" for key in ("top5", "top1", "js", "entropy"))
            shown.add_row(name, *numbers, nib["verdict"])
    return shown


def power_table(power: dict[str, Any]) -> Table:
    """What the protocol can tell, and the chunks that the margin needs."""
    chunks, margin, percent = power["chunks"], power["margin"], f"{100 * power['power']:.0f} %"
    shown = table(
        f"\npower of {chunks} chunks, from {power['measured']} of {power['documents']} documents",
        "", "mean", "sd of\na chunk", "standard\nerror", f"{100 * power['level']:.0f} %\ninterval",
        f"passes at\n+ {margin:g}", f"chunks for\n+- {margin:g}", f"chunks to\npass {percent}",
    )  # fmt: skip
    for name, found in power["criteria"].items():
        shown.add_row(
            name,
            *(f"{found[key]:.4f}" for key in ("mean", "sd", "standard_error")),
            f"+- {found['half_width']:.4f}",
            f"{100 * found['power']:.0f} %",
            *(f"{found[key]:,}" for key in ("chunks_for_interval", "chunks_for_power")),
        )
    return shown
