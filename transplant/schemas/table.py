"""The report of each verb, by its name: JSON Schemas of them, and whether an object is one."""

from __future__ import annotations

import difflib
import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from transplant.errors import InputError
from transplant.schemas.base import ErrorReport, OpenReport
from transplant.schemas.evidence import (
    GenerateReport,
    JudgedReport,
    NIBReport,
    PerplexityReport,
    TrainReport,
    TransferReport,
    ValidateReport,
)
from transplant.schemas.registry import (
    AddReport,
    CoresReport,
    ExportReport,
    GeneratedPairs,
    InspectReport,
    ListReport,
    OriginReport,
    RemoveReport,
    ShowReport,
)
from transplant.schemas.runs import RunReport, SchemaReport, SchemasReport

REPORTS: dict[str, Any] = {
    "add": AddReport,
    "cfgen": GeneratedPairs,
    "cores": CoresReport,
    "export": ExportReport,
    "generate": GenerateReport,
    "inspect": InspectReport,
    "list": ListReport,
    "nib": NIBReport,
    "perplexity": PerplexityReport,
    "rm": RemoveReport,
    "run": RunReport,
    "schema": SchemaReport | SchemasReport,
    "show": ShowReport | OriginReport,
    "succession": JudgedReport,
    "train": TrainReport,
    "transfer": TransferReport,
    "validate": ValidateReport,
    "verify": JudgedReport,
}
"""By verb; the reports of the others are open: any keys, and `schema_version`."""
ERROR = "error"
"""The name of what stands in the place of a report where a verb has failed."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas_of(verbs: list[str]) -> dict[str, list[str]]:
    """Which verbs have reports of the keys of their schema alone, and which are open."""
    return {
        "typed": [ERROR, *(name for name in verbs if not is_open(name))],
        "open": [name for name in verbs if is_open(name)],
    }


def schema_of(name: str, verbs: list[str]) -> dict[str, Any]:
    """The JSON Schema of a verb's report, or that of errors: `verb`, `open` and `schema`.

    Args:
        name: of a verb, as it is typed, or `error`.
        verbs: all that there are.

    Raises:
        InputError: no such verb.
    """
    known = [*verbs, ERROR]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise InputError(f"no verb {name!r}", expected=f"such as {', '.join(close)}")
    schema = _adapter(name).json_schema(by_alias=True)
    titled = {"$schema": DIALECT, **schema, "title": f"report of {name}"}
    return {"verb": name, "open": is_open(name), "schema": titled}


def is_open(name: str) -> bool:
    """Whether the report of a verb may have other keys than its schema names."""
    model = ErrorReport if name == ERROR else REPORTS.get(name, OpenReport)
    return isinstance(model, type) and issubclass(model, OpenReport)


def check_report(name: str, text: str) -> None:
    """Refuses what is no report of a verb.

    Args:
        name: of the verb, or `error`.
        text: JSON.

    Raises:
        InputError: naming the first key that is wrong.
    """
    try:
        _adapter(name).validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(
            f"the report of {name}: {'.'.join(map(str, fault['loc'])) or 'all of it'}",
            expected=fault["msg"], found=json.dumps(fault["input"], default=str)[:80],
        ) from None  # fmt: skip


def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(ErrorReport if name == ERROR else REPORTS.get(name, OpenReport))
