"""Verify a result by making it again.

Example: abi verify
Example: abi verify paste --from 48M --to 150M-chess --domain chess
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.fence import NotPassedError
from commands.session import Session
from transplant.errors import InputError

VERIFIED = ("results", "paste")


SHIPPED = "headline.json"


def verify(
    session: Session,
    what: Annotated[
        str, typer.Argument(help=f"What to verify: {' or '.join(VERIFIED)}.")
    ] = "results",
    record: Annotated[
        Path | None,
        typer.Option(help="JSON of `abi transfer`, one or a list; default: what ships with abi."),
    ] = None,
    allow_other_text: Annotated[
        bool,
        typer.Option(
            "--allow-other-text", help="Pass on another Python's text, within wide tolerances."
        ),
    ] = False,
    source: Annotated[
        str | None, typer.Option("--from", help="paste: the core that the module came from.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="paste: the core that it was pasted into.")
    ] = None,
    domain: Annotated[
        list[str] | None, typer.Option(help="paste: a module's name; repeatable. Default: all.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="paste: tokens to generate.")] = 50,
) -> None:
    """Recompute recorded results, or check a paste, each beside a control that must fail.

    Exit 3 where something does not agree.
    """
    if what == "paste":
        from transplant.tables.paste import paste_table
        from transplant.workflows.verify_paste import paste_report

        report = paste_report(session, source, to, domain, tokens)
        shown = paste_table(report)
    elif what == "results":
        from registry.store import REFERENCE, Registry
        from transplant.tables.recomputed import results_sheet
        from transplant.workflows.move.json_record import results_report

        library = session.library if record else Registry(REFERENCE)
        report = results_report(
            session, library, record or REFERENCE / SHIPPED, allow_other_text=allow_other_text
        )
        shown = results_sheet(report)
    else:
        raise InputError(f"cannot verify {what!r}", expected=f"one of {[*VERIFIED]}")
    session.out.result(report, shown)
    if not report["pass"]:
        raise NotPassedError
