"""Measure what heads, feed-forward parts and layers are worth to a hosted model.

Example: abi trace --model python-shipped@ref-gpt2 --targets auto --out trace
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from commands.options import Fields, HeldOutText, described_by
from commands.session import Session
from transplant.errors import InputError
from transplant.tracing.config import PrefilterConfig, TraceConfig


@described_by("evidence.trace.spec.TraceJob")
def trace(
    session: Session,
    *,
    model: str,
    targets: str = "auto",
    data: HeldOutText = None,
    pairs: str | None = None,
    config: Annotated[TraceConfig, Fields("intervention documents window noise seed")],
    metric: str | None = None,
    prefilter: str | None = None,
    ranked: Annotated[PrefilterConfig, Fields("keep sample")],
    out: Path | None = None,
) -> None:
    """Measure what heads, feed-forward parts and layers are worth to a model.

    Args:
        metric: `nll`, kl, logit-diff; default: nll, of pairs logit-diff.
        prefilter: `atp`: measure only what gradients rank high, and a sample.
    """
    from transplant.evidence.trace.job import run_trace
    from transplant.evidence.trace.spec import TraceJob
    from transplant.tables.trace import trace_sheet

    if prefilter not in (None, "atp"):
        raise InputError("--prefilter", expected="atp", found=prefilter)
    if prefilter is None and ranked != PrefilterConfig():
        raise InputError("--keep and --sample", expected="--prefilter atp beside them")
    job = TraceJob(
        model=model, targets=targets, data=data, pairs=pairs,
        config=replace(config, metric=metric or ("nll" if pairs is None else "logit-diff")),
        prefilter=ranked if prefilter else None, out=out,
    )  # fmt: skip
    report = run_trace(session, job)
    session.out.result(report, trace_sheet(report))
