"""Fit a gate to a module: at work on its domain, silent on general text.

Example: abi gate --module python@ref-gpt2 --general prose
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.options.shared import EVAL_TOKENS, EvalTokens, HostedOption, Replace
from commands.session import Session
from transplant.calibration.config import GateConfig

GATE = GateConfig()


def gate(
    session: Session,
    module: HostedOption,
    general: Annotated[str, typer.Option(help="Text that belongs to no module.")] = "prose",
    tokens: Annotated[int, typer.Option(min=64, help="Tokens of either text to fit on.")] = (
        GATE.tokens
    ),
    most_worse: Annotated[
        float, typer.Option(min=0, help="How much worse general text may be, in %.")
    ] = 100 * GATE.most_worse,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    replace: Replace = False,
) -> None:
    """Fit a gate to a module behind an interface; it is hosted with the module from then on."""
    from transplant.tables.gate import gate_table
    from transplant.workflows.gate import gate_report

    config = dataclasses.replace(GATE, tokens=tokens, most_worse=most_worse / 100)
    report = gate_report(session, module, general, config, eval_tokens, replace=replace)
    session.out.result(report, gate_table(report))
