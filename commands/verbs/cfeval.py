"""Score minimal pairs: how often does a model give the right text the higher probability?

Example: abi cfeval --model python-shipped@ref-gpt2 --baseline ref-gpt2 --pairs python-scope.jsonl
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import described_by
from commands.session import Session
from transplant.validation import Bounds


@described_by("evidence.cfeval.evaluate_pairs")
def cfeval(
    session: Session,
    *,
    model: str,
    pairs: Path,
    baseline: str | None = None,
    per_paradigm: Annotated[int | None, Bounds(1)] = None,
    space: bool = False,
) -> None:
    """Score minimal pairs by the log-probability of their sentences."""
    from transplant.evidence.cfeval import evaluate_pairs
    from transplant.tables.pairs import accuracy_table

    report = evaluate_pairs(
        session, model, pairs, baseline=baseline, per_paradigm=per_paradigm, space=space
    )
    session.out.result(report, accuracy_table(report))
