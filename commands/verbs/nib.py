"""Run the Non-Inferiority Benchmark: does the candidate predict like the anchor?

Example: abi nib --anchor python@ref-llama --candidate python-from-ref-gpt2@ref-llama
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.session import NotPassedError, Session
from transplant.backbones.identity import difference
from transplant.errors import InputError
from transplant.evaluation.config import EXTENDED_SEEDS, NIBConfig, PowerConfig

NIB, POWER = NIBConfig(), PowerConfig()
SPARE = 4  # chunks of a stream that a seed draws one from, at least


def nib(
    session: Session,
    anchor: Annotated[str, typer.Option(help="The model to live up to.")],
    candidate: Annotated[str, typer.Option(help="The model to judge, on the same backbone.")],
    data: Annotated[
        str | None, typer.Option(help="Held-out text; default: the candidate's domain.")
    ] = None,
    extended: Annotated[bool, typer.Option("--extended", help="Five seeds, intervals.")] = False,
    chunks: Annotated[int, typer.Option(help="Chunks per seed.")] = NIB.chunks,
    chunk_length: Annotated[int, typer.Option(help="Tokens per chunk.")] = NIB.chunk_length,
    skip: Annotated[int, typer.Option(help="First positions of a chunk, not scored.")] = NIB.skip,
    power: Annotated[
        bool, typer.Option("--power", help="What so many chunks can tell, from many more chunks.")
    ] = False,
    margin: Annotated[
        float, typer.Option(help="The distance from a threshold that --power is asked for.")
    ] = POWER.margin,
) -> None:
    """Run the Non-Inferiority Benchmark; exit 3 where it does not pass."""
    from functools import partial

    from rich.console import Group

    from commands.corpora import read_splits, windows_of
    from commands.nib_power import power_report
    from commands.render.nib import nib_table, power_table
    from transplant.evaluation.nib import run_nib
    from transplant.evaluation.scoring import hosted_logits
    from transplant.text.limits import stream_chars

    one, other = session.load(anchor), session.load(candidate)
    if difference(one.backbone, other.backbone):
        raise InputError(
            "anchor and candidate are hosted on different backbones",
            expected=one.backbone.name,
            found=other.backbone.name,
        )
    config = dataclasses.replace(NIB, chunks=chunks, chunk_length=chunk_length, skip=skip)
    source = data
    if source is None:
        source = session.domain_source(candidate) or session.domain_source(anchor)
    if source is None:
        raise InputError("two raw backbones have no domain", hint="--data python")
    reach = stream_chars(evaluation=SPARE * chunks * chunk_length)
    splits = read_splits(session, source, stream_chars=reach)
    backbone = one.backbone
    windows = windows_of(backbone, splits.eval, chunk_length, 10**9)
    of_anchor = partial(hosted_logits, one)
    of_candidate = partial(hosted_logits, other)
    result = run_nib(
        windows, of_anchor, of_candidate, config, seeds=EXTENDED_SEEDS if extended else None
    )
    report = {
        "anchor": anchor,
        "candidate": candidate,
        **result.as_dict(),
        "data": source,
        "split": splits.fingerprint,
        "made": session.made(),
    }
    shown = nib_table(report)
    if power:
        asked = PowerConfig(margin=margin)
        report["power"] = power_report(windows, of_anchor, of_candidate, result, asked)
        shown = Group(shown, power_table(report["power"]))
    session.out.result(report, shown)
    if not result.passed:
        raise NotPassedError
