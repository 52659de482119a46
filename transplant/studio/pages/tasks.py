"""Pages of what is being computed, and of what it gave."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from transplant.pictures.flow import draw_flow
from transplant.studio.desk import DONE, RUNNING
from transplant.studio.forms import read_form, text_of
from transplant.studio.setting import studio_of
from transplant.studio.view import address, page

AGAIN_S = 1
"""Seconds after which a page of something under way is asked for again."""


def one(request: Request) -> Response:
    """How far a task is, or its result."""
    task = studio_of(request).desk.get(request.query_params.get("id", ""))
    flow = draw_flow(task.result) if task.kind == "advice" and task.state == DONE else None
    answer = page(request, f"task_{task.kind}", task=task, flow=flow)
    if task.state == RUNNING:
        answer.headers["refresh"] = str(AGAIN_S)
    return answer


async def stop(request: Request) -> Response:
    """Stops a task and shows it."""
    form = await read_form(request)
    task = studio_of(request).desk.get(text_of(form, "id"))
    task.stop.set()
    return RedirectResponse(address("/task", id=task.id), 303)
