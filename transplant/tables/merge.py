"""A merge as tables: the merged backbone beside its parents, and what these host."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import bounds_text
from transplant.tables.table import Sheet, Table
from transplant.tables.words import strong


def merge_sheet(report: dict[str, Any]) -> Sheet:
    """Perplexity and NIB by text, then what every module of the parents is worth."""
    shown = Table(
        f"{report['name']}: {report['method']} of "
        f"{', '.join(parent['name'] for parent in report['parents'])}",
        "", "perplexity", "the merged one's gain,\nnats per token", "NIB of the merged\none",
    )  # fmt: skip
    for name, text in report["texts"].items():
        shown.add((strong(name), ", merged"), _bounds(text["perplexity"], ".2f"))
        for parent, found in text["parents"].items():
            shown.add(
                f"{name}, {parent}", f"{found['parent_perplexity']:.2f}", _bounds(found["gain"]),
                found["nib"] or "text too short",
            )  # fmt: skip
    return Sheet(shown, *([hosted_table(report["hosted"])] if report["hosted"] else []))


def hosted_table(rows: list[dict[str, Any]]) -> Table:
    """What each module, linear map and adapter gains on its parent and on the merged backbone."""
    shown = Table(
        "\nwhat the parents host, nats per token", "", "text", "gain on\nits parent",
        "gain on the\nmerged one", "kept",
    )  # fmt: skip
    for row in rows:
        gains = [_bounds(row[key]) if key in row else "" for key in ("parent_gain", "merged_gain")]
        kept = row["kept"]
        share = row.get("why", "") if kept is None else _bounds(kept, ".0%")
        shown.add(row["name"], row["domain"], *gains, share)
    return shown


def _bounds(number: dict[str, Any], form: str = ".3f") -> str:
    """A number and its interval, where it has one: of a single document there is none."""
    value, bounds = format(number["value"], form), number["interval"]
    return value if bounds is None else f"{value} ({bounds_text(bounds, form)})"
