"""The gates of a validation as JUnit XML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from transplant.files.results import write_file
from transplant.tables.validation import bounds_text, value_text

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 may hold, escaped or not (its section 2.2)."""


def _in_xml(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)


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
    for element in root.iter():
        element.attrib.update({key: _in_xml(value) for key, value in element.attrib.items()})
        element.text = None if element.text is None else _in_xml(element.text)
    write_file(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
