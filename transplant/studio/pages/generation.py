"""Pages that ask for texts of several systems on one backbone, side by side."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from transplant.errors import InputError
from transplant.studio.forms import choice_of, count_of, read_form, text_of
from transplant.studio.setting import studio_of
from transplant.studio.systems import System, backbones_of, systems_on
from transplant.studio.view import address, page

MOST = 6
"""Systems that one request may compare."""
PROMPTS = ("def read_lines(path):\n    ", "The house at the end of the lane")


def form(request: Request) -> Response:
    """The form: a backbone, what is hosted on it, and a prompt."""
    studio = studio_of(request)
    entries = studio.library.entries()
    backbones = backbones_of(entries)
    wanted = request.query_params.get("backbone") or next(iter(backbones), "")
    if backbones or wanted:
        choice_of(wanted, backbones, "backbone")
    systems = systems_on(entries, wanted) if wanted else []
    return page(
        request, "generate", backbones=backbones, backbone=wanted, systems=systems,
        chosen=chosen_of(systems, request.query_params.get("module")),
        prompt=PROMPTS[0], config=studio.config,
    )  # fmt: skip


async def begin(request: Request) -> Response:
    """Begins to generate, and leads to the page of it."""
    studio = studio_of(request)
    given = await read_form(request)
    entries = await run_in_threadpool(studio.library.entries)
    backbone = choice_of(text_of(given, "backbone"), backbones_of(entries), "backbone")
    known = {one.name: one for one in systems_on(entries, backbone)}
    names = [*dict.fromkeys(given.get("system", []))]
    if not 1 <= len(names) <= MOST:
        raise InputError("systems", expected=f"1 to {MOST}", found=len(names))
    systems = [known[choice_of(name, [*known], "system")] for name in names]
    prompt = text_of(given, "prompt").replace("\r\n", "\n")
    if not prompt.strip() or len(prompt) > studio.config.prompt_chars:
        raise InputError(
            "prompt", expected=f"1 to {studio.config.prompt_chars:,} characters", found=len(prompt)
        )
    tokens = count_of(given, "tokens", studio.config.tokens)
    asked = {"backbone": backbone, "systems": systems, "prompt": prompt, "tokens": tokens}
    task = studio.desk.begin(
        "generation", f"{len(systems)} texts on {backbone}", asked,
        lambda task: studio.actions.generate(task, asked),
    )  # fmt: skip
    return RedirectResponse(address("/task", id=task.id), 303)


def chosen_of(systems: list[System], module: str | None) -> set[str]:
    """What is compared where nothing else is asked for: raw, a native and what was moved."""
    named = [one for one in systems if one.name == module]
    first = {one.role: one for one in reversed(systems)}
    wanted = [first.get("raw"), *(named or [first.get("moved")]), first.get("native")]
    return {one.name for one in wanted if one is not None}
