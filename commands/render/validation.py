"""A validation as tables, and its gates as JUnit XML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from commands.output import table
from transplant.errors import StorageError
from transplant.files.whole_file import whole_file

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


def value_text(number: dict[str, Any]) -> str:
    """A value, or that there is none."""
    return "not measured" if number["value"] is None else f"{number['value']:.4f}"


def bounds_text(number: dict[str, Any]) -> str:
    """Its interval, where there is one."""
    return "" if number["low"] is None else f"{number['low']:.4f} .. {number['high']:.4f}"


def write_junit(path: Path, report: dict[str, Any]) -> None:
    """Writes one test case for each gate, whole or not at all.

    Raises:
        StorageError: the disk refused.
    """
    gates = report["gates"]
    suite = ElementTree.Element(
        "testsuite", name="abi validate", tests=str(len(gates)),
        failures=str(len(report["failed"])), errors="0", time=f"{report['seconds']:.3f}",
    )  # fmt: skip
    for gate in gates:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"{report['model']} against {report['baseline']}",
            name=f"{gate['metric']}: {gate['asked']}",
        )  # fmt: skip
        if not gate["pass"]:
            said = f"{gate['metric']} is {value_text(gate)}, asked {gate['asked']}"
            failure = ElementTree.SubElement(case, "failure", message=said)
            failure.text = gate.get("why") or bounds_text(gate)
    try:
        with whole_file(path) as partial:
            ElementTree.ElementTree(suite).write(partial, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise StorageError(f"cannot write {path}", found=error.strerror) from error
