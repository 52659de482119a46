"""Run the Non-Inferiority Benchmark: does the candidate predict like the anchor?

Example: abi nib --anchor python@ref-llama --candidate python-from-ref-gpt2@ref-llama
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.fence import NotPassedError
from commands.options.shared import AlsoEval, HeldOutText, parse_sources
from commands.session import Session
from transplant.evaluation.config import NIBConfig, PowerConfig

NIB, POWER = NIBConfig(), PowerConfig()


def nib(
    session: Session,
    anchor: Annotated[str, typer.Option(help="The model to live up to.")],
    candidate: Annotated[str, typer.Option(help="The model to judge, on the same backbone.")],
    data: HeldOutText = None,
    extended: Annotated[bool, typer.Option("--extended", help="Five seeds, intervals.")] = False,
    chunks: Annotated[int, typer.Option(help="Chunks per seed.")] = NIB.chunks,
    chunk_length: Annotated[int, typer.Option(help="Tokens per chunk.")] = NIB.chunk_length,
    skip: Annotated[int, typer.Option(help="First positions of a chunk, not scored.")] = NIB.skip,
    power: Annotated[
        bool, typer.Option("--power", help="What so many chunks can tell, from many more chunks.")
    ] = False,
    margin: Annotated[
        float, typer.Option(help="The distance from a threshold that --power is asked for.")
    ] = POWER.margin,
    also_eval: AlsoEval = None,
) -> None:
    """Run the Non-Inferiority Benchmark; exit 3 where it does not pass."""
    from transplant.tables.nib import nib_sheet
    from transplant.workflows.nib import nib_report

    config = dataclasses.replace(NIB, chunks=chunks, chunk_length=chunk_length, skip=skip)
    report = nib_report(
        session, anchor, candidate, data=data, config=config, extended=extended,
        power=PowerConfig(margin=margin) if power else None, also_eval=parse_sources(also_eval),
    )  # fmt: skip
    session.out.result(report, nib_sheet(report))
    if not report["pass"]:
        raise NotPassedError
