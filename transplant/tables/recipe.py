"""Recipes as tables: what each step has made, or what would run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transplant.tables.table import Table, left
from transplant.tables.words import bad

BESIDE = ("interface", "gate")
"""Kinds that stand beside a module of their name."""


def recipe_table(report: Mapping[str, Any]) -> Table:
    """The steps of a run, a row each."""
    shown = Table(
        f"{report['recipe']}: {report['registry']}", "step", left(""), "seconds", left("made")
    )
    for step in report["steps"]:
        own, verb, seconds = step["name"], step["verb"], step["seconds"]
        named = own if own == verb.replace(" ", "-") else f"{own} ({verb})"
        failed = step["pass"] is False
        state = (f"{step['state']}, ", bad("did not pass")) if failed else step["state"]
        took = "" if seconds is None else f"{seconds:.1f}"
        shown.add(named, state, took, ", ".join(_made(step)))
    return shown


def _made(step: Mapping[str, Any]) -> Iterator[str]:
    for it in step["made"]:
        if it["kind"] not in BESIDE:
            yield f"{it['name']}@{it['backbone']}" if it["backbone"] else it["name"]
    if step["files"]:
        yield f"{len(step['files'])} files"
