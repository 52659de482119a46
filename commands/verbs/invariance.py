"""Update a backbone and see what its module is still worth: exit 3 under 50 %.

Example: abi invariance --module python@ref-gpt2 --update-data prose2 --stability 1.0
"""

from __future__ import annotations

from commands.options import EVAL_TOKENS, EvalTokens, HostedOption, described_by
from commands.options.update import Repair, Update
from commands.session import Session
from transplant.validation import Count


@described_by("workflows.update.invariance.invariance_report")
def invariance(
    session: Session,
    *,
    module: HostedOption,
    update: Update,
    repair: Repair,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    update_data: str = "prose2",
    seeds: Count = 1,
) -> None:
    """Update a copy of a backbone, apply the old module; exit 3 unless 50 % is left.

    Args:
        update_data: what the backbone learns: prose2, a file, a folder, a data set.
    """
    from transplant.evaluation.invariance import FAIL, NO_CEILING
    from transplant.tables.invariance import invariance_table
    from transplant.workflows.update.invariance import invariance_report
    from transplant.workflows.update.study import Study

    study = Study(session, update, repair, eval_tokens)
    report = invariance_report(study, module, update_data, seeds)
    passed = report["verdict"] not in (FAIL, NO_CEILING)
    session.out.result(report, invariance_table(report), passed=passed)
