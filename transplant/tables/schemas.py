"""JSON Schemas as text, and which verbs promise how much of their reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from transplant.tables.table import Table, left
from transplant.tables.words import Marked, code


def schema_text(report: Mapping[str, Any]) -> Marked:
    """A schema as it stands in a file."""
    return code(json.dumps(report["schema"], indent=2))


def schemas_table(report: Mapping[str, Any]) -> Table:
    """A row for each verb: whether its report has the keys of its schema alone."""
    shown = Table("reports as JSON, schema_version 1", "verb", left("keys"))
    for verb in report["typed"]:
        shown.add(verb, "those of its schema, no others")
    for verb in report["open"]:
        shown.add(verb, "open: those of its schema, and others")
    return shown
