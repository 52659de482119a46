"""Say what a donor's pieces and hidden states are like: spectra, roles of heads, similar layers.

Example: abi analyze --bank llama --activations acts.h5 --against gpt2.h5 --out catalog.json
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from commands.session import Session
from transplant.analysis.config import AnalysisConfig
from transplant.files.results import write_json
from transplant.files.writable import check_writable

DEFAULT = AnalysisConfig()


def analyze(
    session: Session,
    bank: Annotated[str, typer.Option(help="A bank of pieces, of abi extract: NAME or NAME@B.")],
    activations: Annotated[
        Path, typer.Option("--activations", help="Of its backbone: a file of abi capture.")
    ],
    against: Annotated[
        Path | None,
        typer.Option(help="Activations of another backbone on the same text: layers are compared."),
    ] = None,
    windows: Annotated[
        int, typer.Option(min=1, help="Windows that heads are watched on.")
    ] = DEFAULT.windows,
    out: Annotated[
        Path | None, typer.Option(help="The catalog as JSON, for abi advise --catalog.")
    ] = None,
) -> None:
    """Say what a donor's pieces and hidden states are like, in a catalog."""
    from transplant.tables.catalog import catalog_sheet
    from transplant.workflows.analyze.job import AnalyzeJob, run_analyze

    if out is not None:
        check_writable(out)
    config = dataclasses.replace(DEFAULT, windows=windows)
    job = AnalyzeJob(bank=bank, activations=activations, against=against, config=config)
    report = run_analyze(session, job)
    if out is not None:
        write_json(out, report)
        report = {**report, "file": str(out)}
    session.out.result(report, catalog_sheet(report))
