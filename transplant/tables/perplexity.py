"""Tables of perplexities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transplant.tables.table import Sheet, Table


def perplexity_sheet(report: Mapping[str, Any]) -> Sheet:
    """A line for each model, and its difference from the first."""
    rows = report["models"]
    part = "all of it" if report["whole"] else "held out"
    alone = rows[0]["documents"] < 2
    noun = "document, which has no interval" if alone else "documents"
    title = f"{report['data']}, {part}: {rows[0]['documents']:,} {noun}"

    def between(found: Mapping[str, Any], form: str) -> str:
        return "" if alone else " to ".join(map(form.format, found["interval"]))

    shown = Table(
        title, "model", "tokens", "perplexity", "95 %", "bits a byte", "95 %", "nats a doc"
    )
    for row in rows:
        shown.add(
            row["model"], f"{row['tokens']:,}",
            f"{row['ppl']['mean']:,.2f}", between(row["ppl"], "{:,.2f}"),
            f"{row['bits_per_byte']['mean']:.4f}", between(row["bits_per_byte"], "{:.4f}"),
            f"{row['nats_per_document']['mean']:,.1f}",
        )  # fmt: skip
    if len(rows) == 1:
        return Sheet(shown)
    beside = Table(f"more bits a byte than {rows[0]['model']}", "model", "", "95 %")
    for row in rows[1:]:
        more = row["more_bits_per_byte"]
        beside.add(row["model"], f"{more['mean']:+.4f}", between(more, "{:+.4f}"))
    return Sheet(shown, "", beside)
