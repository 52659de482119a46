"""JSON Schemas as text, and what has one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from transplant.files.results import SCHEMA_VERSION
from transplant.tables.table import Table, left
from transplant.tables.words import Marked, code


def schema_text(report: Mapping[str, Any]) -> Marked:
    """A schema as it stands in a file."""
    return code(json.dumps(report["schema"], indent=2))


def schemas_table(report: Mapping[str, Any]) -> Table:
    """The verbs whose reports have a schema: all of them, and errors."""
    shown = Table(f"reports as JSON, schema_version {SCHEMA_VERSION}", "of", left(""))
    for name in report["schemas"]:
        shown.add(name, "what is printed where a verb fails" if name == "error" else "")
    return shown
