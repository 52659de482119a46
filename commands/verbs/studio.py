"""Show the registry and runs in a browser, on this machine alone.

Example: abi studio trace/ curve/ --port 8471
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.session import Session
from transplant.studio.config import StudioConfig

DEFAULT = StudioConfig()


def studio(
    session: Session,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders that verbs have written reports to, or such reports."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes any that is free.")
    ] = DEFAULT.port,
    host: Annotated[
        str, typer.Option(help="An address of this machine; beyond loopback a token is asked for.")
    ] = DEFAULT.host,
) -> None:
    """Show the registry and runs in a browser, on this machine alone."""
    from commands.errors import typed_as
    from transplant.tables.words import code
    from transplant.workflows.studio.job import StudioJob, run_studio

    config = dataclasses.replace(DEFAULT, host=host, port=port)
    job = StudioJob(runs=tuple(runs or ()), config=config, say=lambda text: typed_as(text, {}))

    def ready(report: dict[str, Any]) -> None:
        lines = [report["url"], f"registry {report['registry']}", "Ctrl-C stops it"]
        if report["token"]:
            lines.insert(1, "not on loopback: whoever has this address can read all of it")
        session.out.result(report, code("\n".join(lines)))

    run_studio(session, job, ready)
