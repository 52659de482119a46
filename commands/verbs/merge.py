"""Merge whole models by a recipe of mergekit, and measure what the merged one is worth.

Example: abi merge --global merge.yaml --name merged
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.shared import parse_named
from commands.session import Session
from transplant.errors import InputError


def merge(
    session: Session,
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A recipe of mergekit, in YAML.")
    ],
    name: Annotated[str, typer.Option(help="Of the merged backbone, in the registry.")],
    whole: Annotated[
        bool, typer.Option("--global", help="All weights of whole models; the one form there is.")
    ] = False,
    remote: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A hub id of the recipe that may be fetched. Repeatable."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="A text it is for; default: the domains of what its parents host. Repeatable.",
        ),
    ] = None,
    general: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="General text to compare on, too; default: prose."),
    ] = None,
    suite: Annotated[str, typer.Option(help="quick or full: how much is measured.")] = "quick",
) -> None:
    """Merge whole models by a recipe of mergekit into a backbone of the registry."""
    from transplant.tables.merge import merge_sheet

    if not whole:
        raise InputError(
            "what is merged", expected="--global, for all weights of whole models",
            hint="abi fuse, for modules on one backbone",
        )  # fmt: skip
    report = session.merge(
        recipe, name, remote=remote or (), domains=parse_named("--data", data),
        general=parse_named("--general", general) or None, suite=suite,
    )  # fmt: skip
    session.out.result(report, merge_sheet(report))
    session.out.note(f"what is hosted on its parents is moved to it by abi transfer --to {name}")
