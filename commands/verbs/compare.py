"""Compare cores with the plain transformers that were trained beside them.

Example: abi compare 2M --baseline 2M-plain
"""

from __future__ import annotations

from typing import Annotated

from commands.options import EvalTokens, Field
from commands.session import Session

CORES = Field(argument=True, help="Cores of the registry, one for each seed.")


def compare(
    session: Session,
    *,
    cores: Annotated[list[str], CORES],
    baseline: list[str] | None = None,
    eval_tokens: EvalTokens = 200_000,
) -> None:
    """Compare cores with the plain transformers of the same recipe, on held-out documents.

    Args:
        baseline: the plain transformer of each, in order, of the registry, too: it alone says what
            they were trained on; default: <core>-plain.
    """
    from transplant.tables.comparison import comparison_table
    from transplant.workflows.train.compare_cores import compare_cores

    plain = baseline or [f"{core}-plain" for core in cores]
    report = compare_cores(session, cores, plain, eval_tokens)
    session.out.result(report, comparison_table(report))
