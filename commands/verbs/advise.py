"""Measure two backbones and say how to move something from one to the other.

Example: abi advise --from ref-gpt2 --to ref-llama --domain python
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from commands.session import Session
from transplant.advice.config import AdviceConfig
from transplant.files.writable import check_writable

DEFAULT = AdviceConfig()


def advise(
    session: Session,
    source: Annotated[str, typer.Option("--from", help="The backbone to move from.")],
    to: Annotated[str, typer.Option("--to", help="The backbone to move to.")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Text: prose, python, a file, a folder, a data set. Repeatable, one for each "
            "task; both backbones read the first. Default: prose."
        ),
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="Only modules of this domain; default: all of the donor's.")
    ] = None,
    excerpts: Annotated[int, typer.Option(min=1, help="Excerpts to align on.")] = DEFAULT.excerpts,
    impact_tokens: Annotated[
        int, typer.Option(min=64, help="Tokens that each part is silenced on.")
    ] = DEFAULT.impact_tokens,
    trace: Annotated[
        Path | None,
        typer.Option(help="trace.json of the target, of abi trace: which of its parts matter."),
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="A catalog of the donor, of abi analyze.")
    ] = None,
    route: Annotated[
        Path | None,
        typer.Option(help="route.json of abi route-sim, of a module that is there already."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the JSON and the page with the flow.")
    ] = None,
) -> None:
    """Measure two backbones and say how to move something from one to the other."""
    from commands.render.typed import command_of, with_commands
    from transplant.pictures.advice import write_advice
    from transplant.pictures.page import require_plotting
    from transplant.tables.advice import advice_sheet
    from transplant.workflows.advise import Advising, run_advice

    if out is not None:
        require_plotting()
        check_writable(out, folder=True)
    config = dataclasses.replace(DEFAULT, excerpts=excerpts, impact_tokens=impact_tokens)
    advising = Advising(
        session, source, to, tuple(data or ("prose",)), domain, config, trace, catalog, route
    )
    found, advice, report = run_advice(advising)
    told = with_commands(report, advice)
    files = [] if out is None else write_advice(out, told)
    shown = advice_sheet(found, advice, files, command_of)
    session.out.result(told | ({"files": files} if files else {}), shown)
