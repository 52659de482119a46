"""The NIB and its power as tables."""

from __future__ import annotations

from typing import Any

from transplant.tables.table import Sheet, Table
from transplant.tables.words import strong


def nib_sheet(report: dict[str, Any]) -> Sheet:
    """The benchmark and, where they were measured, other sources and its power."""
    more = [sources_nib_table(report["sources"])] if "sources" in report else []
    more += [power_table(report["power"])] if "power" in report else []
    return Sheet(nib_table(report), *more)


def nib_table(report: dict[str, Any]) -> Table:
    """The four numbers against their thresholds."""
    title = f"NIB  {report['candidate']} against {report['anchor']}"
    shown = Table(title, "", "mean", "95 %", "threshold", "")
    for name, threshold in report["thresholds"].items():
        low, high = report["interval"][name]
        sign = ">=" if name.startswith("top") else "<"
        shown.add(
            name, f"{report[name]:.4f}", f"{low:.4f} .. {high:.4f}",
            f"{sign} {threshold:.3f}", report["verdicts"][name],
        )  # fmt: skip
    shown.add("verdict", "", "", "", strong(report["verdict"]))
    return shown


def sources_nib_table(sources: dict[str, Any]) -> Table:
    """The benchmark on the source that was trained on, and on others."""
    shown = Table("\nin source and out of source", "", "top5", "top1", "js", "entropy", "")
    for name, found in {"in source": sources["in_source"], **sources["out_of_source"]}.items():
        nib = found["nib"]
        if nib["pass"] is None:
            shown.add(name, "", "", "", "", "too short")
        else:
            numbers = (f"{nib[key]:.4f}" for key in ("top5", "top1", "js", "entropy"))
            shown.add(name, *numbers, nib["verdict"])
    return shown


def power_table(power: dict[str, Any]) -> Table:
    """What the protocol can tell, and the chunks that the margin needs."""
    chunks, margin, percent = power["chunks"], power["margin"], f"{100 * power['power']:.0f} %"
    shown = Table(
        f"\npower of {chunks} chunks, from {power['measured']} of {power['documents']} documents",
        "", "mean", "sd of\na chunk", "standard\nerror", f"{100 * power['level']:.0f} %\ninterval",
        f"passes at\n+ {margin:g}", f"chunks for\n+- {margin:g}", f"chunks to\npass {percent}",
    )  # fmt: skip
    for name, found in power["criteria"].items():
        shown.add(
            name,
            *(f"{found[key]:.4f}" for key in ("mean", "sd", "standard_error")),
            f"+- {found['half_width']:.4f}",
            f"{100 * found['power']:.0f} %",
            *(f"{found[key]:,}" for key in ("chunks_for_interval", "chunks_for_power")),
        )
    return shown
