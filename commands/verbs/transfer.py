"""Move a module to another backbone and print the evidence beside its controls.

Example: abi transfer --module python@ref-gpt2 --to ref-llama
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options.curve import CurveOptions
from commands.options.move import ModuleOption, MoveOptions, TargetOption
from commands.options.shared import (
    EVAL_TOKENS,
    AlsoEval,
    EvalTokens,
    Explain,
    Replace,
    parse_sources,
)
from commands.session import Session

if TYPE_CHECKING:
    from transplant.workflows.move.whole import WholeMove


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
    also_eval: AlsoEval = None,
    over: CurveOptions,
    explain: Explain = False,
    replace: Replace = False,
) -> None:
    """Move a module to another backbone and print the evidence beside its controls."""
    from commands.render.sources import with_sources
    from commands.render.transfer import transfer_table
    from commands.render.tried import explained

    others = parse_sources(also_eval)
    budgets = over.budgets(others)
    move = moving.move(session, module, to)
    if budgets is not None:
        _show_curve(session, move, native, eval_tokens, budgets, over)
        return
    move.claim("module", "interface", replace=replace)
    move = move.start()
    report = move.evidence(native=native, eval_tokens=eval_tokens, also_eval=others).report
    move.store(replace=replace)
    shown = transfer_table(report)
    if explain:
        shown = explained(shown, report["tried"])
    session.out.result(report, with_sources(shown, report))


def _show_curve(
    session: Session, move: WholeMove, native: str | None, eval_tokens: int,
    budgets: tuple[int, ...], over: CurveOptions,
) -> None:  # fmt: skip
    """Measures a curve, writes plot and JSON, and prints the table."""
    from commands.render.curve import curve_view
    from commands.render.curve_plot import write_curve
    from transplant.workflows.move.budget_curve import curve_report
    from transplant.workflows.move.trials import Trials

    trials = Trials(move.start(), native, eval_tokens)
    report = curve_report(trials, budgets, over.seeds, over.steps)
    report["files"] = write_curve(over.out or Path(), report)
    session.out.result(report, curve_view(report))
