"""Verify a result by making it again.

Example: abi verify paste --from 48M --to 150M-chess --domain chess
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.output import table
from commands.session import NotPassedError, Session

VERIFIED = ("paste",)


def verify(
    session: Session,
    what: Annotated[str, typer.Argument(help=f"What to verify: {' or '.join(VERIFIED)}.")],
    source: Annotated[str, typer.Option("--from", help="The core that the module came from.")],
    to: Annotated[str, typer.Option("--to", help="The core that it was pasted into.")],
    domain: Annotated[
        list[str] | None, typer.Option(help="A module's name; repeatable. Default: all of them.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens to generate.")] = 50,
) -> None:
    """Check a pasted module in four ways, each beside a control that must fail. Exit 3 if not."""
    from commands.core_folders import core_folder
    from transplant.errors import InputError
    from transplant.surgery.core import open_core
    from transplant.surgery.verify import verify_paste

    if what not in VERIFIED:
        raise InputError(f"cannot verify {what!r}", expected=f"one of {[*VERIFIED]}")
    ours, theirs = core_folder(session, source, "--from"), core_folder(session, to, "--to")
    modules = domain or sorted(open_core(ours).modules)
    if not modules:
        raise InputError(f"{source} has no domain module", hint="abi cores")
    verdicts = []
    for module in modules:
        session.out.note(f"verifying {module}")
        verdicts.append(verify_paste(ours, theirs, module, tokens=tokens, seed=session.seed))
    shown = table(f"{source} -> {to}", "check", "identical", "one flipped bit is seen")
    for verdict in verdicts:
        for check in verdict.checks:
            words = ("yes" if fact else "NO" for fact in (check.identical, check.control_differs))
            shown.add_row(f"{verdict.module}: {check.name}", *words)
        shown.add_row(f"  of {verdict.tensors} tensors; the control flips: {verdict.flipped}")
    passed = all(verdict.passed for verdict in verdicts)
    shown.add_row(f"[bold]{'pass' if passed else 'FAIL'}[/bold]")
    found = {"from": source, "to": to, "pass": passed}
    modules_found = [{**dataclasses.asdict(v), "pass": v.passed} for v in verdicts]
    session.out.result({**found, "modules": modules_found}, shown)
    if not passed:
        raise NotPassedError
