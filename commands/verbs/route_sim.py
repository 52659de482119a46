"""Simulate a router: what a model is unsure of goes to a baseline.

Example: abi route-sim --metrics uq/metrics.json --sweep --budget 0.01 --out route
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.session import Session
from transplant.errors import InputError
from transplant.evaluation.uq_config import BUDGET, UNCERTAINTIES
from transplant.files.writable import check_writable


def route_sim(
    session: Session,
    metrics: Annotated[Path, typer.Option(help="metrics.json of abi uq --baseline.")],
    tau: Annotated[
        float | None, typer.Option(min=0, help="Route what is more uncertain, in nats.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Choose tau on half of the documents; default.")
    ] = False,
    budget: Annotated[
        float, typer.Option(min=0, help="Nats per token that worse documents may lose.")
    ] = BUDGET,
    by: Annotated[str, typer.Option(help=f"One of: {', '.join(UNCERTAINTIES)}.")] = UNCERTAINTIES[
        0
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for route.json and route.png.")] = None,
) -> None:
    """Simulate routing by uncertainty: risk against coverage, and the tau within a budget."""
    from transplant.pictures.figures import require_matplotlib
    from transplant.pictures.route import write_route
    from transplant.tables.route import route_sheet

    if sweep and tau is not None:
        raise InputError("--tau and --sweep", expected="one of them", found="both")
    if out is not None:
        require_matplotlib()
        check_writable(out, folder=True)
    report = session.route_sim(metrics, tau=tau, by=by, budget=budget)
    if out is not None:
        report["files"] = write_route(out, report)
    session.out.result(report, route_sheet(report))
