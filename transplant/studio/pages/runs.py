"""Pages of runs: the reports that verbs have written, with their pictures."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from transplant.errors import NotFoundError
from transplant.studio.evidence import evidence_of
from transplant.studio.runs import kind_of_report
from transplant.studio.setting import studio_of
from transplant.studio.view import page


def listing(request: Request) -> Response:
    """All reports, the newest first."""
    runs = studio_of(request).runs
    return page(
        request, "runs",
        rows=[(run, runs.kind(run), _when(run.modified)) for run in runs.found()],
    )  # fmt: skip


def one(request: Request) -> Response:
    """One report: its pictures, its tables, and all that it holds."""
    studio = studio_of(request)
    run = studio.runs.get(request.query_params.get("id", ""))
    report = studio.runs.read(run)
    kind = kind_of_report(report)
    moves = report if isinstance(report, list) else [report]
    if kind == "moves":
        moves = report["moves"] if isinstance(report, dict) else report
    return page(
        request, "run", run=run, report=report, kind=kind, when=_when(run.modified),
        moves=[(move, evidence_of(move)) for move in moves if kind in ("move", "moves")],
    )  # fmt: skip


def picture(_request: Request) -> Response:
    """A picture of a report, as a PNG."""
    raise NotFoundError("no such picture")


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
