"""Give the maps of a basis their ranks, under one budget of trainable parameters.

Example: abi basis allocate code@ref-gpt2 --budget-like lora:r=8 --out ranks
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.basis import LayerAtATime, Tokens, parse_count
from commands.session import Session
from transplant.basis.config import AllocateConfig
from transplant.files.writable import check_writable


def basis_allocate(
    session: Session,
    basis: Annotated[str, typer.Argument(help="The basis, as NAME@<backbone>.")],
    budget: Annotated[str | None, typer.Option(help="Trainable parameters, as 100k.")] = None,
    budget_like: Annotated[
        str | None,
        typer.Option("--budget-like", help="In its place that of a LoRA on the maps: lora:r=8."),
    ] = None,
    score: Annotated[
        str, typer.Option(help="What a direction is worth: fisher, energy, uniform.")
    ] = AllocateConfig.score,
    r_min: Annotated[
        int, typer.Option("--r-min", min=0, help="The smallest rank.")
    ] = AllocateConfig.r_min,
    r_max: Annotated[
        int | None, typer.Option("--r-max", min=1, help="The largest; default: all directions.")
    ] = None,
    step: Annotated[
        int, typer.Option(min=1, help="Ranks are multiples of this.")
    ] = AllocateConfig.step,
    data: Annotated[
        str | None, typer.Option(help="What fisher reads; default: the text of the fit.")
    ] = None,
    tokens: Tokens = str(AllocateConfig.tokens),
    layer_at_a_time: LayerAtATime = False,
    out: Annotated[
        Path | None, typer.Option(help="A folder for ranks.json, ranks.png and ranks.html.")
    ] = None,
) -> None:
    """Allocate ranks under one budget: exact, by dynamic programming."""
    from transplant.pictures.page import require_plotting
    from transplant.pictures.ranks import write_allocation
    from transplant.tables.basis import allocation_table
    from transplant.workflows.basis.allocate import AllocateJob, run_allocate

    config = AllocateConfig(
        budget=None if budget is None else parse_count("--budget", budget),
        budget_like=budget_like, score=score, r_min=r_min, r_max=r_max, step=step,
        tokens=parse_count("--tokens", tokens),
    )  # fmt: skip
    if out is not None:
        require_plotting()
        check_writable(out, folder=True)
    job = AllocateJob(name=basis, config=config, data=data, layer_at_a_time=layer_at_a_time)
    report = run_allocate(session, job)
    if out is not None:
        report["files"] = write_allocation(out, report)
    session.out.result(report, allocation_table(report))
