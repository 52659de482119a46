"""Write what runs have measured as one page: self-contained HTML, Markdown or PDF.

Example: abi report python-shipped-from-ref-gpt2@ref-llama --out report.html
Example: abi report transfer.json trace-folder uq-folder --out report.pdf --samples 0
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import Field, described_by
from commands.session import Session
from transplant.validation import Bounds


@described_by("evidence.report.job.ReportJob")
def report(
    session: Session,
    *,
    runs: Annotated[list[str], Field(argument=True, metavar="RUN...")],
    out: Path,
    prompt: list[str] | None = None,
    samples: Annotated[int, Bounds(0)] = 2,
) -> None:
    """Write what runs have measured as one page: HTML, Markdown or PDF.

    Args:
        runs: artifacts by name; JSON that verbs wrote with --out or --json, or its folder.
        prompt: text to go on from, before and after the first move. Repeatable.
    """
    from commands.render.typed import wording
    from transplant.evidence.report.job import ReportJob, run_report
    from transplant.tables.document import written_sheet

    job = ReportJob(
        runs=runs, out=out, prompts=prompt or (), samples=samples, words=wording(report)
    )
    found = run_report(session, job)
    session.out.result(found, written_sheet(found))
