"""Compare cores with the plain transformers that were trained beside them.

Example: abi compare 2M --baseline 2M-plain
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commands.options.shared import EvalTokens
from commands.session import Session
from transplant.errors import InputError


def compare(
    session: Session,
    cores: Annotated[list[str], typer.Argument(help="Cores, one for each seed.")],
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="The plain transformer of each, in order; default: <core>-plain."),
    ] = None,
    eval_tokens: EvalTokens = 200_000,
) -> None:
    """Compare cores with the plain transformers of the same recipe, on held-out documents."""
    from commands.render.comparison import comparison_table
    from transplant.evaluation.intervals import t_interval
    from transplant.workflows.train.compare_cores import compare_pair

    plain = baseline or [f"{core}-plain" for core in cores]
    if len(plain) != len(cores):
        raise InputError(
            "every core needs its baseline", expected=f"{len(cores)} --baseline", found=len(plain)
        )
    pairs = [compare_pair(session, *names, eval_tokens) for names in zip(cores, plain, strict=True)]
    report: dict[str, Any] = {"pairs": pairs, "made": session.made()}
    if len(pairs) > 1:
        over_seeds = t_interval([pair["difference_percent"] for pair in pairs])
        report["mean"] = {
            "difference_percent": over_seeds.mean,
            "interval": over_seeds.as_list(),
            "contains_zero": over_seeds.low <= 0.0 <= over_seeds.high,
        }
    session.out.result(report, comparison_table(report))
