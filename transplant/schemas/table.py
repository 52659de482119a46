"""The report of each verb, by its name: JSON Schemas of them, and whether an object is one."""

from __future__ import annotations

import difflib
import functools
import json
from collections import Counter
from importlib import import_module
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from transplant.errors import InputError

ERROR = "error"
"""The name of what stands in the place of a report where a verb has failed."""
REPORTS = {
    ERROR: "base.ErrorReport",
    "ablate": "ablations.Ablate",
    "adapters": "surgery.AdaptersReport",
    "add": "registry.AddReport",
    "advise": "alignment.AdviseReport",
    "analyze": "traces.AnalyzeReport",
    "basis adapt": "basis.Adapt",
    "basis allocate": "basis.AllocateReport",
    "basis compare": "basis.CompareReport",
    "basis fit": "basis.FitReport",
    "bridge-align": "moves.Align",
    "bridge-train": "surgery.BridgeTrainReport",
    "calibrate": "moves.CalibrateReport",
    "capture": "alignment.Capture",
    "cfeval": "uncertainty.CfevalReport",
    "cfgen": "uncertainty.CfgenReport",
    "compare": "cores.CompareReport",
    "cores": "cores.CoresReport",
    "demo": "moves.DemoReport",
    "embed-init": "alignment.EmbedInitReport",
    "eval": "evidence.EvalReport",
    "export": "registry.ExportReport",
    "extract": "surgery.ExtractReport",
    "fuse": "surgery.FuseReport",
    "gate": "updates.GateReport",
    "generate": "evidence.GenerateReport",
    "inject": "surgery.InjectReport",
    "inspect": "registry.InspectReport",
    "invariance": "updates.InvarianceReport",
    "list": "registry.ListReport",
    "merge": "merges.MergeReport",
    "nib": "evidence.NIBReport",
    "paste": "cores.Paste",
    "perplexity": "evidence.PerplexityReport",
    "report": "evidence.ReportReport",
    "rm": "registry.RemoveReport",
    "route-sim": "uncertainty.RouteReport",
    "run": "runs.RunReport",
    "schema": "runs.Schema",
    "show": "registry.Show",
    "studio": "evidence.StudioReport",
    "succession": "updates.SuccessionReport",
    "tokenize-align": "alignment.TokenizeAlignReport",
    "trace": "traces.Trace",
    "train": "moves.TrainReport",
    "train-core": "cores.CoreTrainReport",
    "train-reference": "cores.ReferenceReport",
    "transfer": "moves.Transfer",
    "uq": "uncertainty.UqReport",
    "validate": "evidence.ValidateReport",
    "verify": "cores.Verify",
}
"""By verb, the module of this package and the class; modules are imported when one is asked for."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a verb's report, or that of errors: `verb` and `schema`.

    Args:
        name: of a verb, as it is typed, or `error`.

    Raises:
        InputError: no such verb.
    """
    if name not in REPORTS:
        close = difflib.get_close_matches(name, REPORTS, n=3, cutoff=0.0)
        raise InputError(f"no verb {name!r}", expected=f"such as {', '.join(close)}")
    schema = _adapter(name).json_schema(by_alias=True)
    return {"verb": name, "schema": {"$schema": DIALECT, **schema, "title": f"report of {name}"}}


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
        fault = _nearest(name, error.errors(include_url=False))
        raise InputError(
            f"the report of {name}: {'.'.join(map(str, fault['loc'])) or 'all of it'}",
            expected=fault["msg"], found=json.dumps(fault["input"], default=str)[:80],
        ) from None  # fmt: skip


def _nearest(name: str, faults: list[ErrorDetails]) -> ErrorDetails:
    """The first fault; of several forms that a report may have, of the one with the fewest."""
    if not get_args(_model(name)):
        return faults[0]
    forms = Counter(fault["loc"][:1] for fault in faults)
    nearest = min(forms, key=lambda form: forms[form])
    return next(fault for fault in faults if fault["loc"][:1] == nearest)


@functools.cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_model(name))


def _model(name: str) -> Any:
    room, _, own = REPORTS[name].partition(".")
    return getattr(import_module(f"transplant.schemas.{room}"), own)
