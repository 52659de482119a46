"""Pages of the registry: the overview, the list of artifacts, and one of them with its lineage."""

from __future__ import annotations

from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from transplant.errors import InputError
from transplant.library import Entry
from transplant.studio.evidence import evidence_of, headline_of
from transplant.studio.setting import studio_of
from transplant.studio.shelf import Shelf, kind_of
from transplant.studio.view import page


def overview(request: Request) -> Response:
    """Counts, backbones and modules with their headline numbers."""
    studio = studio_of(request)
    shelf = Shelf(studio.library)
    return page(
        request, "overview",
        root=str(studio.library.root), problems=_said(request, shelf),
        counts=Counter(kind_of(entry) for entry in shelf.entries),
        backbones=[(one, len(shelf.on(one))) for one in shelf.of_kind("backbone")],
        modules=[(one, headline_of(one.manifest)) for one in shelf.of_kind("module")],
        runs=len(studio.runs.found()),
    )  # fmt: skip


def listing(request: Request) -> Response:
    """All artifacts, or those of one kind or one backbone."""
    shelf = Shelf(studio_of(request).library)
    kind, backbone = (request.query_params.get(name, "") for name in ("kind", "backbone"))
    kinds = sorted({kind_of(entry) for entry in shelf.entries})
    backbones = sorted({entry.manifest.backbone.id for entry in shelf.entries})
    for given, known, what in ((kind, kinds, "kind"), (backbone, backbones, "backbone")):
        if given and given not in known:
            raise InputError(what, expected="one that the registry holds", found=repr(given[:80]))
    shown = [
        entry
        for entry in shelf.entries
        if kind in ("", kind_of(entry)) and backbone in ("", entry.manifest.backbone.id)
    ]
    return page(
        request, "artifacts", kinds=kinds, backbones=backbones, kind=kind, backbone=backbone,
        rows=[(entry, headline_of(entry.manifest)) for entry in shown],
    )  # fmt: skip


def one(request: Request) -> Response:
    """One artifact: what it is, how it was made, what was measured, and its relatives."""
    shelf = Shelf(studio_of(request).library)
    query = request.query_params
    entry = shelf.find(query.get("kind", ""), query.get("name", ""))
    return page(
        request, "artifact", entry=entry, manifest=entry.manifest,
        evidence=evidence_of(entry.manifest), made=_made(entry),
        ancestry=shelf.ancestry(entry), children=shelf.children(entry), copies=shelf.copies(entry),
        hosted=shelf.on(entry) if kind_of(entry) == "backbone" else [],
    )  # fmt: skip


def _made(entry: Entry) -> dict[str, Any]:
    # Counts of tokens of the training text: thousands of rows, and not for everybody.
    return {name: value for name, value in entry.manifest.made.items() if name != "token_counts"}


def _said(request: Request, shelf: Shelf) -> list[str]:
    say = studio_of(request).say
    return [say(problem.line()) for problem in shelf.problems]
