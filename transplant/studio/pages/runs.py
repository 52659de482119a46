"""Pages of runs: the reports that verbs have written, with their pictures."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from transplant.errors import CorruptError, NotFoundError, foreign
from transplant.files.result_kinds import MOVES, kind_of_file
from transplant.pictures.flow import draw_flow
from transplant.studio.drawn import DRAWN, draw
from transplant.studio.evidence import evidence_of
from transplant.studio.setting import studio_of
from transplant.studio.view import page

SEVERAL = (MOVES, "verification")
"""Kinds of files that hold moves in a list."""


def listing(request: Request) -> Response:
    """All reports, the newest first."""
    runs = studio_of(request).runs
    return page(
        request, "runs",
        rows=[(run, runs.kind(run), _when(run.modified)) for run in runs.found()],
    )  # fmt: skip


def one(request: Request) -> Response:
    """One report: its pictures, its tables, and all that it holds."""
    runs = studio_of(request).runs
    run = runs.get(request.query_params.get("id", ""))
    report = runs.read(run)
    kind = kind_of_file(report)
    moves = report if isinstance(report, list) else [report]
    if kind in SEVERAL and isinstance(report, dict):
        moves = report[MOVES] if isinstance(report[MOVES], list) else []
    return page(
        request, "run", run=run, report=report, kind=kind, when=_when(run.modified),
        drawn=DRAWN[kind][1] if kind in DRAWN else None, flow=_flow(report, kind),
        moves=[
            (move, evidence_of(move))
            for move in moves
            if kind in ("move", *SEVERAL) and isinstance(move, dict)
        ],
    )  # fmt: skip


def picture(request: Request) -> Response:
    """The picture of a report, as a PNG; `narrow` for a narrow screen."""
    runs = studio_of(request).runs
    run = runs.get(request.query_params.get("id", ""))
    report = runs.read(run)
    kind = kind_of_file(report)
    if not isinstance(report, dict):
        raise NotFoundError("nothing is drawn of such a report")
    narrow = request.query_params.get("narrow") == "1"
    return Response(draw(kind, report, narrow=narrow), media_type="image/png")


def _flow(report: object, kind: str) -> str | None:
    if kind != "advice" or not isinstance(report, dict):
        return None
    with foreign("the advice cannot be drawn", CorruptError, expected="a whole advice.json"):
        return draw_flow(report)


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
