"""A validation as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transplant.tables import shares
from transplant.tables.table import Sheet, Table
from transplant.tables.words import bad, strong


def validation_sheet(report: dict[str, Any]) -> Sheet:
    """All that was measured, and the gates."""
    return Sheet(metrics_table(report), *([gates_table(report)] if report["gates"] else []))


def metrics_table(report: Mapping[str, Any]) -> Table:
    """All that was measured, with intervals."""
    shown = Table(f"{report['model']} against {report['baseline']}", "", "value", "95 %")
    for name, number in report["metrics"].items():
        shown.add(name, value_text(number), bounds_text(number))
    return shown


def gates_table(report: Mapping[str, Any]) -> Table:
    """Each gate, what was measured, and whether it passes."""
    shown = Table("\ngates", "", "value", "asked", "")
    for gate in report["gates"]:
        verdict = "pass" if gate["pass"] else strong(bad("fail"))
        shown.add(gate["metric"], value_text(gate), gate["asked"], verdict)
    return shown


def value_text(number: dict[str, Any]) -> str:
    """A value, or that there is none."""
    return "not measured" if number["value"] is None else f"{number['value']:.4f}"


def bounds_text(number: dict[str, Any]) -> str:
    """Its interval, where there is one."""
    return shares.bounds_text(number["interval"], ".4f")
