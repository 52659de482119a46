"""The studio as an ASGI application: its routes, its errors, and the guard in front."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from transplant.errors import ArtifactError, NotFoundError, StorageError, TransplantError
from transplant.studio.access import Access
from transplant.studio.desk import BusyError
from transplant.studio.guard import Guard
from transplant.studio.pages import advice, artifacts, generation, runs, tasks
from transplant.studio.setting import Studio
from transplant.studio.view import ICON, STYLE, page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp


ROUTES = (
    Route("/", artifacts.overview),
    Route("/artifacts", artifacts.listing),
    Route("/artifact", artifacts.one),
    Route("/runs", runs.listing),
    Route("/run", runs.one),
    Route("/picture", runs.picture),
    Route("/generate", generation.form, methods=["GET"]),
    Route("/generate", generation.begin, methods=["POST"]),
    Route("/advice", advice.form, methods=["GET"]),
    Route("/advice", advice.begin, methods=["POST"]),
    Route("/task", tasks.one),
    Route("/stop", tasks.stop, methods=["POST"]),
    Route("/studio.css", lambda _: Response(STYLE, media_type="text/css")),
    Route("/icon.svg", lambda _: Response(ICON, media_type="image/svg+xml")),
)


def build_app(studio: Studio, access: Access, fault: Callable[[Exception], None]) -> ASGIApp:
    """The application.

    Args:
        studio: what the pages are made of.
        access: what a request must bring.
        fault: told of an exception that no page expected.
    """
    app = Starlette(
        routes=[*ROUTES],
        exception_handlers={TransplantError: _named, HTTPException: _missing},
    )
    app.router.redirect_slashes = False
    app.state.studio = studio
    return Guard(app, access, fault)


def status_of(error: TransplantError) -> int:
    """The status of a named error: nothing that is there, busy or damaged, or wrongly asked."""
    if isinstance(error, NotFoundError):
        return 404
    return 409 if isinstance(error, BusyError | ArtifactError | StorageError) else 400


def _named(request: Request, error: Exception) -> Response:
    assert isinstance(error, TransplantError)
    status, said = status_of(error), request.app.state.studio.say(error.line())
    return page(request, "error", status, code=status, said=said)


def _missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = "there is no such page" if error.status_code == 404 else error.detail
    return page(request, "error", error.status_code, code=error.status_code, said=said)
