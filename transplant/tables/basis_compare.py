"""A comparison of adapters as a table."""

from __future__ import annotations

from typing import Any

from transplant.tables.artifacts import size_text
from transplant.tables.shares import bounds_text
from transplant.tables.table import Table


def compare_table(report: dict[str, Any]) -> Table:
    """A row for each method; differences are in nats per token on held-out documents.

    Memory is the most that the process, or the device, held in one of its runs.
    """
    shown = Table(
        f"{report['backbone']} to {report['domain']}: {report['budget']:,} parameters "
        f"({report['like']})",
        "method", "rate", "trained", "domain", "forgets", "basis - it", "95 %", "start s", "s",
        "peak",
    )  # fmt: skip
    raw = report["raw"]
    shown.add("raw", "", "0", f"{raw['domain']:.4f}", "0")
    others: list[str] = []
    for row in report["rows"]:
        if "unavailable" in row:
            shown.add(row["method"], "not run")
            continue
        it = row.get("basis_minus_it")
        shown.add(
            row["method"], f"{row['rate']:g}", f"{row['trainable']:,}", f"{row['domain']:.4f}",
            f"{row['forgetting']:+.4f}", "" if it is None else f"{it['mean']:+.4f}",
            "" if it is None else bounds_text(it["interval"]), f"{row['prepare_seconds']:.1f}",
            f"{row['train_seconds']:.1f}",
            size_text(row["peak_bytes"]) if row["peak_bytes"] else "",
        )  # fmt: skip
        share = f"{row['trainable'] / report['budget']:.0%}"
        others += [f"{row['method']} {share}"] if share != "100%" else []
    if others:
        shown.note(f"trained in share of the budget: {', '.join(others)}; all others 100%")
    if "verdict" in report:
        shown.note(f"against {report['best_peer']}, the best peer: {report['verdict']}")
    shown.note(
        *(f"{r['method']}: {r['unavailable']}" for r in report["rows"] if "unavailable" in r),
        *(
            f"{row['method']}, seed {seed}: {reason}; no number of it is in the row"
            for row in report["rows"]
            for seed, reason in (row.get("failed_seeds") or {}).items()
        ),
    )
    return shown
