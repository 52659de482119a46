"""Cores beside plain transformers, as a table."""

from __future__ import annotations

from typing import Any

from transplant.tables.table import Table


def comparison_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    shown = Table(
        "held-out perplexity, core against plain transformer",
        "core", "seed", "parameters", "plain", "core ppl", "plain ppl", "difference", "95 %",
    )  # fmt: skip
    for pair in report["pairs"]:
        low, high = pair["interval"]
        shown.add(
            pair["core"],
            str(pair["seed"]),
            *(f"{pair['parameters'][side]:,}" for side in ("core", "baseline")),
            *(f"{pair['ppl'][side]:.2f}" for side in ("core", "baseline")),
            f"{pair['difference_percent']:+.2f} %",
            f"{low:+.2f} .. {high:+.2f}",
        )
    if "mean" in report:
        low, high = report["mean"]["interval"]
        shown.end_section()
        mean = f"{report['mean']['difference_percent']:+.2f} %"
        shown.add("over seeds", "", "", "", "", "", mean, f"{low:+.2f} .. {high:+.2f}")
    return shown
