"""Fit a basis: the directions that each linear map of a backbone uses on calibration text.

Example: abi basis fit --backbone ref-gpt2 --data python --name code
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.basis import LayerAtATime, Tokens, parse_count
from commands.options.shared import Replace
from commands.session import Session
from transplant.basis.config import FitConfig


def basis_fit(
    session: Session,
    backbone: Annotated[str, typer.Option(help="The backbone: a registry name, folder or hub id.")],
    data: Annotated[str, typer.Option(help="Calibration text: its training split is read.")],
    name: Annotated[str, typer.Option(help="Stored as NAME@<backbone>.")],
    layers: Annotated[
        str, typer.Option(help="all, ends of names as q_proj,v_proj, or a regular expression.")
    ] = FitConfig.layers,
    tokens: Tokens = str(FitConfig.tokens),
    window: Annotated[int, typer.Option(min=2, help="Tokens per window.")] = FitConfig.window,
    max_rank: Annotated[
        int, typer.Option("--max-rank", min=1, help="Directions of each map that are kept.")
    ] = FitConfig.max_rank,
    floor: Annotated[
        float, typer.Option(help="Share of the largest eigenvalue under which they are dropped.")
    ] = FitConfig.floor,
    shrinkage: Annotated[
        float, typer.Option(help="Weight of the mean eigenvalue in the spectrum.")
    ] = FitConfig.shrinkage,
    layer_at_a_time: LayerAtATime = False,
    replace: Replace = False,
) -> None:
    """Fit the directions that each linear map uses on calibration text."""
    from transplant.tables.basis import fit_table
    from transplant.workflows.basis.fit import FitJob, run_fit

    config = FitConfig(
        layers=layers, tokens=parse_count("--tokens", tokens), window=window, max_rank=max_rank,
        floor=floor, shrinkage=shrinkage,
    )  # fmt: skip
    job = FitJob(
        backbone=backbone, data=data, name=name, config=config, layer_at_a_time=layer_at_a_time
    )
    report = run_fit(session, job, replace=replace)
    session.out.result(report, fit_table(report))
