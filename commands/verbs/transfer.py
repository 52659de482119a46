"""Move a module to another backbone and print the evidence beside its controls.

Example: abi transfer --module python@ref-gpt2 --to ref-llama
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.curve import CurveOptions
from commands.options.move import ModuleOption, MoveOptions, TargetOption
from commands.options.shared import EVAL_TOKENS, EvalTokens, Explain, Replace
from commands.session import Session


def transfer(
    session: Session,
    *,
    module: ModuleOption,
    to: TargetOption,
    moving: MoveOptions,
    native: Annotated[
        str | None,
        typer.Option(help="The native module, the ceiling; trained like the donor where missing."),
    ] = None,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    over: CurveOptions,
    explain: Explain = False,
    replace: Replace = False,
) -> None:
    """Move a module to another backbone and print the evidence beside its controls."""
    from commands.evidence import transfer_report
    from commands.render.transfer import transfer_table
    from commands.render.tried import explained
    from commands.reused_bridge import reuse_bridge

    budgets = over.budgets()
    move = moving.move(session, module, to)
    if budgets is not None:
        from commands.render.curve_plot import print_curve

        folder = over.out or Path()
        print_curve(move, native, eval_tokens, budgets, over.seeds, over.steps, folder)
        return
    if not replace:
        move.refuse_taken("module", "interface")
    reuse_bridge(move)
    report = transfer_report(move, native, eval_tokens)
    move.store({name: report[name] for name in ("ppl", "recovered", "nib")}, replace=replace)
    shown = transfer_table(report)
    session.out.result(report, explained(shown, report["tried"]) if explain else shown)
