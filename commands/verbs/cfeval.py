"""Score minimal pairs: how often does a model give the right text the higher probability?

Example: abi cfeval --model python-shipped@ref-gpt2 --baseline ref-gpt2 --pairs python-scope.jsonl
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.session import Session


def cfeval(
    session: Session,
    model: Annotated[str, typer.Option(help="The hosted model to judge.")],
    pairs: Annotated[
        Path, typer.Option(help="Lines of JSON with good and bad, of abi cfgen, BLiMP or your own.")
    ],
    baseline: Annotated[
        str | None, typer.Option(help="A hosted model to compare with, by McNemar's test.")
    ] = None,
    per_paradigm: Annotated[
        int | None, typer.Option(min=1, help="Pairs of each paradigm, drawn; default: all.")
    ] = None,
    space: Annotated[
        bool, typer.Option("--space", help="A space before every text, as lm-eval's blimp has it.")
    ] = False,
) -> None:
    """Score minimal pairs by the log-probability of their sentences."""
    from transplant.tables.pairs import accuracy_table
    from transplant.workflows.cfeval import evaluate_pairs

    report = evaluate_pairs(
        session, model, pairs, baseline=baseline, per_paradigm=per_paradigm, space=space
    )
    session.out.result(report, accuracy_table(report))
