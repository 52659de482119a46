"""A validation as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table
from transplant.pictures.validation import bounds_text, value_text

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def validation_tables(report: dict[str, Any]) -> Group:
    """All that was measured, and the gates."""
    from rich.console import Group

    shown = table(f"{report['model']} against {report['baseline']}", "", "value", "95 %")
    for name, number in report["metrics"].items():
        shown.add_row(name, value_text(number), bounds_text(number))
    return Group(shown, *([gates_table(report)] if report["gates"] else []))


def gates_table(report: dict[str, Any]) -> Table:
    """Each gate, what was measured, and whether it passes."""
    shown = table("\ngates", "", "value", "asked", "")
    for gate in report["gates"]:
        verdict = "pass" if gate["pass"] else "[bold red]fail[/bold red]"
        shown.add_row(gate["metric"], value_text(gate), gate["asked"], verdict)
    return shown
