"""A report that was written, and a studio that is served, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transplant.tables.table import Sheet
from transplant.tables.words import Words, code


def written_sheet(report: Mapping[str, Any]) -> Sheet:
    """The headline of a document, what is missing in it, and where it is."""
    missing = (f"missing: {line}" for line in report["missing"])
    where = f"\n{report['file']}  ({report['bytes']:,} bytes)"
    return Sheet(report["headline"], *missing, where)


def served_words(report: Mapping[str, Any]) -> Words:
    """The address of a studio, and the registry that it shows."""
    lines = [report["url"], f"registry {report['registry']}", "Ctrl-C stops it"]
    if report["token"]:
        lines.insert(1, "not on loopback: whoever has this address can read all of it")
    return code("\n".join(lines))
