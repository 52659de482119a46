"""Fit a basis: the directions that each linear map of a backbone uses on calibration text.

Example: abi basis fit --backbone ref-gpt2 --data python --name code
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Fields, Replace
from commands.session import Session
from transplant.workflows.basis.spec import FitJob

FITTED = Fields(
    "backbone data name retain layer_at_a_time",
    config=Fields("layers directions tokens window max_rank floor shrinkage"),
)


def basis_fit(
    session: Session, *, job: Annotated[FitJob, FITTED], replace: Replace = False
) -> None:
    """Fit the directions that each linear map uses on calibration text."""
    from transplant.tables.basis import fit_table
    from transplant.workflows.basis.fit import run_fit

    report = run_fit(session, job, replace=replace)
    session.out.result(report, fit_table(report))
