"""Merge whole models by a recipe of mergekit, and measure what the merged one is worth.

Example: abi merge --global merge.yaml --name merged
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field, Fields, named_paths
from commands.session import Session
from transplant.errors import InputError
from transplant.merging.spec import MergeJob

MERGED = Fields(
    "name suite", recipe=Field(argument=True, metavar="RECIPE"), remote=Field(metavar="ID"),
    data=named_paths("data", of="domains"), general=named_paths("general"),
)  # fmt: skip


def merge(
    session: Session,
    *,
    job: Annotated[MergeJob, MERGED],
    whole: Annotated[bool, Field(spelled="--global")] = False,
) -> None:
    """Merge whole models by a recipe of mergekit into a backbone of the registry.

    Args:
        whole: all weights of whole models; the one form there is.
    """
    from transplant.merging.job import run_merge
    from transplant.tables.merge import merge_sheet

    if not whole:
        raise InputError(
            "what is merged", expected="--global, for all weights of whole models",
            hint="abi fuse, for modules on one backbone",
        )  # fmt: skip
    report = run_merge(session, job)
    session.out.result(report, merge_sheet(report))
    session.out.note(
        f"what is hosted on its parents is moved to it by abi transfer --to {job.name}"
    )
