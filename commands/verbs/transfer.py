"""Move a module to another backbone and print the evidence beside its controls.

Example: abi transfer --module python@ref-gpt2 --to ref-llama
Example: abi transfer --donor ref-gpt2 --tuned ./my-lora --domain python --to ref-llama
Example: abi transfer --teachers python@ref-gpt2,python@ref-t5 --domain python --to ref-llama
"""

from __future__ import annotations

from commands.options import EVAL_TOKENS, AlsoEval, EvalTokens, Explain, Replace, described_by
from commands.options.move import MoveRecipe, Native
from commands.options.transfer import Curve, Transferred
from commands.session import Session


@described_by("workflows.transfer.run.run_transfer")
def transfer(
    session: Session,
    *,
    job: Transferred,
    config: MoveRecipe,
    native: Native = None,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    also_eval: AlsoEval = None,
    ceiling: bool = False,
    over: Curve,
    explain: Explain = False,
    replace: Replace = False,
) -> None:
    """Move a module to another backbone and print the evidence beside its controls."""
    from transplant.tables.curve import curve_sheet
    from transplant.tables.sources import with_sources
    from transplant.tables.transfer import transfer_table
    from transplant.tables.tried import explained
    from transplant.tables.tuned import tuned_table
    from transplant.workflows.transfer.run import run_transfer

    over.refuse(explain=explain)
    report = run_transfer(
        session, job, config, curve=over, native=native, eval_tokens=eval_tokens,
        also_eval=also_eval, ceiling=ceiling, replace=replace,
    )  # fmt: skip
    if "curves" in report:
        session.out.result(report, curve_sheet(report))
        return
    shown = transfer_table(report) if job.moved else tuned_table(report)
    if explain:
        shown = explained(shown, report["tried"])
    session.out.result(report, with_sources(shown, report))
