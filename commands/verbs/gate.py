"""Fit a gate to a module: at work on its domain, silent on general text.

Example: abi gate --module python@ref-gpt2 --general prose
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

from commands.options import (
    EVAL_TOKENS,
    EvalTokens,
    Field,
    Fields,
    HostedOption,
    Replace,
    described_by,
)
from commands.session import Session
from transplant.calibration.config import GateConfig
from transplant.validation import Bounds


@described_by("workflows.gate.gate_report")
def gate(
    session: Session,
    *,
    module: HostedOption,
    general: str = "prose",
    config: Annotated[GateConfig, Fields(tokens=Field(low=64))],
    most_worse: Annotated[float, Bounds(0)] = 100 * GateConfig.most_worse,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    replace: Replace = False,
) -> None:
    """Fit a gate to a module behind an interface; it is hosted with the module from then on.

    Args:
        most_worse: how much worse general text may be, in %.
    """
    from transplant.tables.gate import gate_table
    from transplant.workflows.gate import gate_report

    config = dataclasses.replace(config, most_worse=most_worse / 100)
    report = gate_report(session, module, general, config, eval_tokens, replace=replace)
    session.out.result(report, gate_table(report))
