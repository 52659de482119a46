"""Give the maps of a basis their ranks, under one budget of trainable parameters.

Example: abi basis allocate code@ref-gpt2 --budget-like lora:r=8 --out ranks
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field, Fields
from commands.session import Session
from transplant.workflows.basis.spec import AllocateJob

ALLOCATED = Fields(
    "data layer_at_a_time out", basis=Field(of="name", argument=True),
    config=Fields("budget budget_like score r_min r_max step tokens"),
)  # fmt: skip


def basis_allocate(session: Session, *, job: Annotated[AllocateJob, ALLOCATED]) -> None:
    """Allocate ranks under one budget: exact, by dynamic programming."""
    from transplant.tables.basis import allocation_table
    from transplant.workflows.basis.allocate import run_allocate

    report = run_allocate(session, job)
    session.out.result(report, allocation_table(report))
