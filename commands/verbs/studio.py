"""Show the registry and runs in a browser, on this machine alone.

Example: abi studio trace/ curve/ --port 8471
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import ARGUMENT, Fields, described_by
from commands.session import Session
from transplant.studio.config import StudioConfig


@described_by("evidence.studio.job.StudioJob")
def studio(
    session: Session,
    *,
    runs: Annotated[list[Path] | None, ARGUMENT] = None,
    config: Annotated[StudioConfig, Fields("port host")],
) -> None:
    """Show the registry and runs in a browser, on this machine alone."""
    from commands.errors import typed_as
    from transplant.evidence.studio.job import StudioJob, run_studio
    from transplant.tables.document import served_words

    job = StudioJob(runs=tuple(runs or ()), config=config, say=lambda text: typed_as(text, {}))
    run_studio(session, job, lambda report: session.out.result(report, served_words(report)))
