"""Say what a donor's pieces and hidden states are like: spectra, roles of heads, similar layers.

Example: abi analyze --bank llama --activations acts.h5 --against gpt2.h5 --out catalog.json
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Fields
from commands.session import Session
from transplant.evidence.analyze.spec import AnalyzeJob

ANALYZED = Fields("bank activations against out", config=Fields("windows"))


def analyze(session: Session, *, job: Annotated[AnalyzeJob, ANALYZED]) -> None:
    """Say what a donor's pieces and hidden states are like, in a catalog."""
    from transplant.evidence.analyze.job import run_analyze
    from transplant.tables.catalog import catalog_sheet

    report = run_analyze(session, job)
    session.out.result(report, catalog_sheet(report))
