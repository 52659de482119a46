"""Move a module to another backbone and print the evidence beside its controls.

Example: abi transfer --module python@ref-gpt2 --to ref-llama
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.options import (
    EVAL_TOKENS,
    MOVE,
    DomainData,
    EvalTokens,
    Excerpts,
    Method,
    ModuleOption,
    NameOption,
    PairingData,
    Replace,
    TargetOption,
    TargetTaps,
    parse_taps,
)
from commands.session import Session


def transfer(
    session: Session,
    module: ModuleOption,
    to: TargetOption,
    data: PairingData = "prose",
    domain_data: DomainData = None,
    method: Method = MOVE.method,
    excerpts: Excerpts = MOVE.excerpts,
    taps: TargetTaps = "all",
    native: Annotated[
        str | None,
        typer.Option(help="The native module, the ceiling; trained like the donor where missing."),
    ] = None,
    name: NameOption = None,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    replace: Replace = False,
) -> None:
    """Move a module to another backbone and print the evidence beside its controls."""
    from commands.evidence import transfer_report, transfer_table
    from commands.moving import Move
    from commands.stored_bridges import reuse_bridge

    config = dataclasses.replace(
        MOVE, method=method, excerpts=excerpts, taps=parse_taps(taps), seed=session.seed
    )
    move = Move(session, module, to, data, domain_data, config, name)
    if not replace:
        move.refuse_taken("module", "interface")
    reuse_bridge(move)
    report = transfer_report(move, native, eval_tokens)
    move.store({name: report[name] for name in ("ppl", "recovered", "nib")}, replace=replace)
    session.out.result(report, transfer_table(report))
