"""Simulate a router: what a model is unsure of goes to a baseline.

Example: abi route-sim --metrics uq/metrics.json --sweep --budget 0.01 --out route
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import Field, described_by
from commands.session import Session
from transplant.errors import InputError
from transplant.evaluation.uq_config import BUDGET, UNCERTAINTIES
from transplant.validation import Bounds
from transplant.workflows.out_folder import check_out, with_files


@described_by("evidence.route_sim.simulate_route")
def route_sim(
    session: Session,
    *,
    metrics: Path,
    tau: Annotated[float | None, Bounds(0)] = None,
    sweep: bool = False,
    budget: Annotated[float, Bounds(0)] = BUDGET,
    by: str = UNCERTAINTIES[0],
    out: Annotated[Path | None, Field(help="Folder for route.json and route.png.")] = None,
) -> None:
    """Simulate routing by uncertainty: risk against coverage, and the tau within a budget.

    Args:
        sweep: choose tau on half of the documents; default.
    """
    from transplant.pictures.route import write_route
    from transplant.tables.route import route_sheet

    if sweep and tau is not None:
        raise InputError("--tau and --sweep", expected="one of them", found="both")
    check_out(out, page=False)
    report = session.route_sim(metrics, tau=tau, by=by, budget=budget)
    report = with_files(report, out, write_route)
    session.out.result(report, route_sheet(report))
