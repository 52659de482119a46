"""Pages of advice: the flow of its decision with the measured numbers in it."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from transplant.errors import InputError
from transplant.studio.forms import choice_of, read_form, text_of
from transplant.studio.setting import Studio, studio_of
from transplant.studio.view import address, page


def form(request: Request) -> Response:
    """The form: two backbones; and the advice that runs hold."""
    studio = studio_of(request)
    runs = [run for run in studio.runs.found() if studio.runs.kind(run) == "advice"]
    return page(request, "advice", backbones=_backbones(studio), runs=runs)


async def begin(request: Request) -> Response:
    """Begins to measure, and leads to the page of it."""
    studio = studio_of(request)
    given = await read_form(request)
    backbones = await run_in_threadpool(_backbones, studio)
    source, to = (choice_of(text_of(given, name), backbones, name) for name in ("from", "to"))
    if source == to:
        raise InputError("advice", expected="two backbones", found=f"{source} twice")
    asked = {"from": source, "to": to}
    task = studio.desk.begin(
        "advice", f"advice on {source} to {to}", asked,
        lambda task: studio.actions.advise(task, asked),
    )  # fmt: skip
    return RedirectResponse(address("/task", id=task.id), 303)


def _backbones(studio: Studio) -> list[str]:
    return [entry.manifest.name for entry in studio.library.entries("backbone")]
