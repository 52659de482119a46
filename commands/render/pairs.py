"""Minimal pairs as tables: those that were drawn, and how a model does on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table

if TYPE_CHECKING:
    from rich.console import Group


def drawn_tables(report: dict[str, Any]) -> Group:
    """The pairs by field, and where they are."""
    from rich.console import Group
    from rich.markup import escape

    shown = table("", report["task"], "pairs")
    for field, pairs in report["fields"].items():
        shown.add_row(field, f"{pairs:,}")
    said = f"{report['pairs']:,} of {report['possible']:,} possible pairs: {report['out']}"
    return Group(shown, f"\n{escape(said)}")
