"""The gates of a validation as JUnit XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from transplant.files.results import write_file
from transplant.tables.validation import bounds_text, value_text


def write_junit(path: Path, report: dict[str, Any], suite: str = "validation") -> None:
    """Writes one test case for each gate, whole or not at all.

    Args:
        path: the file.
        report: of a validation.
        suite: what the suite is called.

    Raises:
        StorageError: the disk refused.
    """
    gates = report["gates"]
    root = ElementTree.Element(
        "testsuite", name=suite, tests=str(len(gates)),
        failures=str(len(report["failed"])), errors="0", time=f"{report['seconds']:.3f}",
    )  # fmt: skip
    for gate in gates:
        case = ElementTree.SubElement(
            root, "testcase", classname=f"{report['model']} against {report['baseline']}",
            name=f"{gate['metric']}: {gate['asked']}",
        )  # fmt: skip
        if not gate["pass"]:
            said = f"{gate['metric']} is {value_text(gate)}, asked {gate['asked']}"
            failure = ElementTree.SubElement(case, "failure", message=said)
            failure.text = gate.get("why") or bounds_text(gate)
    write_file(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
