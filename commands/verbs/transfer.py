"""Move a module to another backbone and print the evidence beside its controls.

Example: abi transfer --module python@ref-gpt2 --to ref-llama
Example: abi transfer --donor ref-gpt2 --tuned ./my-lora --domain python --to ref-llama
Example: abi transfer --teachers python@ref-gpt2,python@ref-t5 --domain python --to ref-llama
"""

from __future__ import annotations

from commands.options.curve import CurveOptions
from commands.options.move import MoveOptions, Native, TargetOption
from commands.options.shared import (
    EVAL_TOKENS,
    AlsoEval,
    Beside,
    EvalTokens,
    Explain,
    Replace,
    parse_sources,
)
from commands.options.tuned import MovedModule, TunedOptions
from commands.session import Session


def transfer(
    session: Session,
    *,
    module: MovedModule = None,
    to: TargetOption,
    learning: TunedOptions,
    moving: MoveOptions,
    native: Native = None,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    also_eval: AlsoEval = None,
    ceiling: Beside = False,
    over: CurveOptions,
    explain: Explain = False,
    replace: Replace = False,
) -> None:
    """Move a module to another backbone and print the evidence beside its controls."""
    from transplant.tables.sources import with_sources
    from transplant.tables.transfer import transfer_table
    from transplant.tables.tried import explained
    from transplant.tables.tuned import tuned_table

    others = parse_sources(also_eval)
    budgets = over.budgets(others)
    whole = learning.module(module)
    if whole is None:
        over.refuse("--module")
        tuned = learning.move(session, to, moving)
        report = tuned.transfer(
            native=native, eval_tokens=eval_tokens, also_eval=others, ceiling=ceiling,
            replace=replace,
        )  # fmt: skip
        session.out.result(report, with_sources(tuned_table(report), report))
        return
    move = moving.move(session, whole, to)
    if budgets is not None:
        over.show(session, move, native, eval_tokens, budgets)
        return
    move.claim("module", "interface", replace=replace)
    move = move.start()
    report = move.evidence(
        native=native, eval_tokens=eval_tokens, also_eval=others, ceiling=ceiling
    ).report
    move.store(replace=replace)
    shown = transfer_table(report)
    if explain:
        shown = explained(shown, report["tried"])
    session.out.result(report, with_sources(shown, report))
