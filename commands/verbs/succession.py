"""Update a backbone again and again: does a module decay, does one hurt another?

Example: abi succession --module python@ref-gpt2 --module chess@ref-gpt2 --rounds 3
"""

from __future__ import annotations

from commands.options import EVAL_TOKENS, EvalTokens, described_by
from commands.options.update import Repair, Update
from commands.session import Session
from transplant.validation import Count


@described_by("workflows.update.succession.succession_report")
def succession(
    session: Session,
    *,
    module: list[str],
    update: Update,
    repair: Repair,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    update_data: list[str] | None = None,
    rounds: Count = 3,
    general: str = "prose",
) -> None:
    """Update a backbone several times and check every module after each; exit 3 under 50 %.

    Args:
        module: a module; once for each, all on one backbone.
        update_data: text of the updates, in turn; several may be given. Default: prose2.
    """
    from transplant.tables.invariance import succession_sheet
    from transplant.workflows.update.study import Study
    from transplant.workflows.update.succession import succession_report

    study = Study(session, update, repair, eval_tokens)
    report = succession_report(study, module, update_data or ["prose2"], rounds, general)
    session.out.result(report, succession_sheet(report), passed=report["pass"])
