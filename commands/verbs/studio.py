"""Show the registry and runs in a browser, on this machine alone.

Example: abi studio trace/ curve/ --port 8471
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from commands.options.groups import Fields, described_by
from commands.session import Session
from transplant.studio.config import StudioConfig


@described_by("workflows.studio.job.StudioJob")
def studio(
    session: Session,
    *,
    runs: Annotated[list[Path] | None, typer.Argument()] = None,
    config: Annotated[StudioConfig, Fields("port host")],
) -> None:
    """Show the registry and runs in a browser, on this machine alone."""
    from commands.errors import typed_as
    from transplant.tables.words import code
    from transplant.workflows.studio.job import StudioJob, run_studio

    job = StudioJob(runs=tuple(runs or ()), config=config, say=lambda text: typed_as(text, {}))

    def ready(report: dict[str, Any]) -> None:
        lines = [report["url"], f"registry {report['registry']}", "Ctrl-C stops it"]
        if report["token"]:
            lines.insert(1, "not on loopback: whoever has this address can read all of it")
        session.out.result(report, code("\n".join(lines)))

    run_studio(session, job, ready)
