"""Measure what heads, feed-forward parts and layers are worth to a hosted model.

Example: abi trace --model python-shipped@ref-gpt2 --targets auto --out trace
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.shared import HeldOutText
from commands.session import Session
from transplant.errors import InputError
from transplant.files.writable import check_writable
from transplant.tracing.config import PrefilterConfig, TraceConfig

DEFAULT, FILTER = TraceConfig(), PrefilterConfig()


def trace(
    session: Session,
    model: Annotated[str, typer.Option(help="A backbone, or a module hosted on one.")],
    targets: Annotated[
        str, typer.Option(help="auto, or a list: head:3.2, head:3.*, ffn:4, attn:4, layer:5.resid.")
    ] = "auto",
    data: HeldOutText = None,
    pairs: Annotated[
        str | None,
        typer.Option(help="Patch between texts, both ways: lines of JSON, clean and corrupted."),
    ] = None,
    intervention: Annotated[
        str, typer.Option(help="In the value's place: mean, zero, noise or resample.")
    ] = DEFAULT.intervention,
    metric: Annotated[
        str | None, typer.Option(help="nll, kl, logit-diff; default: nll, of pairs logit-diff.")
    ] = None,
    documents: Annotated[
        int, typer.Option(min=1, help="Documents, one window of each.")
    ] = DEFAULT.documents,
    window: Annotated[int, typer.Option(min=2, help="Tokens of each.")] = DEFAULT.window,
    noise: Annotated[
        float, typer.Option(help="Of noise, in standard deviations of the value.")
    ] = DEFAULT.noise,
    prefilter: Annotated[
        str | None, typer.Option(help="atp: measure only what gradients rank high, and a sample.")
    ] = None,
    keep: Annotated[
        int, typer.Option(min=1, help="With a prefilter: the first so many are measured.")
    ] = FILTER.keep,
    sample: Annotated[
        int, typer.Option(min=8, help="With a prefilter: so many others, drawn at random.")
    ] = FILTER.sample,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the JSON and the heat map, PNG and HTML.")
    ] = None,
) -> None:
    """Measure what heads, feed-forward parts and layers are worth to a model."""
    from transplant.pictures.page import require_plotting
    from transplant.pictures.trace import write_trace
    from transplant.tables.trace import trace_sheet
    from transplant.workflows.trace.job import run_trace
    from transplant.workflows.trace.spec import TraceJob

    if prefilter not in (None, "atp"):
        raise InputError("--prefilter", expected="atp", found=prefilter)
    if out is not None:
        require_plotting()
        check_writable(out, folder=True)
    config = TraceConfig(
        intervention=intervention, metric=metric or ("nll" if pairs is None else "logit-diff"),
        documents=documents, window=window, noise=noise, seed=session.seed,
    )  # fmt: skip
    chosen = None if prefilter is None else PrefilterConfig(keep=keep, sample=sample)
    given = {"model": model, "targets": targets, "data": data, "pairs": pairs}
    report = run_trace(session, TraceJob(**given, config=config, prefilter=chosen))
    if out is not None:
        report |= {"files": write_trace(out, report)}
    session.out.result(report, trace_sheet(report))
