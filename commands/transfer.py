"""Move a module to another backbone and print the evidence beside its controls.

Example: abi transfer --module python@ref-gpt2 --to ref-llama
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from commands import options
from commands.session import Session
from transplant.errors import InputError

Curve = Annotated[
    str | None,
    typer.Option(
        help="Budgets of domain text, as 0,4k,32k: recovered at each by the moved module, a random "
        "one and one trained from scratch. Nothing is stored."
    ),
]


def transfer(
    session: Session,
    module: options.ModuleOption,
    to: options.TargetOption,
    data: options.PairingData = "prose",
    domain_data: options.DomainData = None,
    method: options.Method = options.MOVE.method,
    excerpts: options.Excerpts = options.MOVE.excerpts,
    taps: options.TargetTaps = "all",
    native: Annotated[
        str | None,
        typer.Option(help="The native module, the ceiling; trained like the donor where missing."),
    ] = None,
    name: options.NameOption = None,
    eval_tokens: options.EvalTokens = options.EVAL_TOKENS,
    curve: Curve = None,
    seeds: Annotated[int, typer.Option(min=1, help="Of --curve: seeds of all drawn.")] = 1,
    steps: options.Steps = None,
    out: Annotated[
        Path | None, typer.Option(help="Of --curve: folder for plot and JSON; default: here.")
    ] = None,
    explain: options.Explain = False,
    replace: options.Replace = False,
) -> None:
    """Move a module to another backbone and print the evidence beside its controls."""
    from commands.evidence import transfer_report, transfer_table
    from commands.explaining import explained
    from commands.moving import Move
    from commands.reused_bridge import reuse_bridge

    budgets = options.parse_budgets(curve) if curve else None
    if budgets is None and (seeds, steps, out) != (1, None, None):
        raise InputError("--seeds, --steps and --out belong to a curve", expected="--curve too")
    config = dataclasses.replace(
        options.MOVE,
        method=method,
        excerpts=excerpts,
        taps=options.parse_taps(taps),
        seed=session.seed,
    )
    move = Move(session, module, to, data, domain_data, config, name)
    if budgets is not None:
        from commands.curve_plot import print_curve

        print_curve(move, native, eval_tokens, budgets, seeds, steps, out or Path())
        return
    if not replace:
        move.refuse_taken("module", "interface")
    reuse_bridge(move)
    report = transfer_report(move, native, eval_tokens)
    move.store({name: report[name] for name in ("ppl", "recovered", "nib")}, replace=replace)
    shown = transfer_table(report)
    session.out.result(report, explained(shown, report["tried"]) if explain else shown)
