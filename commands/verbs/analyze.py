"""Say what a donor's pieces and hidden states are like: spectra, roles of heads, similar layers.

Example: abi analyze --bank llama --activations acts.h5 --against gpt2.h5 --out catalog.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import Fields
from commands.session import Session
from transplant.files.results import write_json
from transplant.files.writable import check_writable
from transplant.workflows.analyze.spec import AnalyzeJob

ANALYZED = Fields("bank activations against", config=Fields("windows"))


def analyze(
    session: Session, *, job: Annotated[AnalyzeJob, ANALYZED], out: Path | None = None
) -> None:
    """Say what a donor's pieces and hidden states are like, in a catalog.

    Args:
        out: the catalog as JSON, for `advise(catalog=...)`.
    """
    from transplant.tables.catalog import catalog_sheet
    from transplant.workflows.analyze.job import run_analyze

    if out is not None:
        check_writable(out)
    report = run_analyze(session, job)
    if out is not None:
        write_json(out, report)
        report = {**report, "file": str(out)}
    session.out.result(report, catalog_sheet(report))
