"""Run the Non-Inferiority Benchmark: does the candidate predict like the anchor?

Example: abi nib --anchor python@ref-llama --candidate python-from-ref-gpt2@ref-llama
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.output import table
from commands.session import NotPassedError, Session
from transplant.errors import InputError
from transplant.evaluation.config import EXTENDED_SEEDS, NIBConfig

NIB = NIBConfig()


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
) -> None:
    """Run the Non-Inferiority Benchmark; exit 3 where it does not pass."""
    from commands.corpora import read_splits, windows_of
    from transplant.evaluation.nib import run_nib
    from transplant.evaluation.scoring import hosted_logits

    one, other = session.load(anchor), session.load(candidate)
    if one.backbone.weights_sha256 != other.backbone.weights_sha256:
        raise InputError(
            "anchor and candidate are hosted on different backbones",
            expected=one.backbone.name,
            found=other.backbone.name,
        )
    config = dataclasses.replace(NIB, chunks=chunks, chunk_length=chunk_length, skip=skip)
    source = data or session.domain_source(candidate) or session.domain_source(anchor)
    if source is None:
        raise InputError("two raw backbones have no domain", hint="--data python")
    splits = read_splits(session, source)
    backbone = one.backbone
    windows = windows_of(backbone, splits.eval, chunk_length, 10**9)
    result = run_nib(
        windows,
        lambda window: hosted_logits(one, window),
        lambda window: hosted_logits(other, window),
        config,
        seeds=EXTENDED_SEEDS if extended else None,
    )
    report = {
        "anchor": anchor,
        "candidate": candidate,
        **result.as_dict(),
        "data": source,
        "split": splits.fingerprint,
        "made": session.made(),
    }
    shown = table(f"NIB  {candidate} against {anchor}", "", "mean", "95 %", "threshold", "")
    for name, threshold in report["thresholds"].items():
        low, high = report["interval"][name]
        sign = ">=" if name.startswith("top") else "<"
        shown.add_row(
            name, f"{report[name]:.4f}", f"{low:.4f} .. {high:.4f}",
            f"{sign} {threshold:.3f}", report["verdicts"][name],
        )  # fmt: skip
    shown.add_row("verdict", "", "", "", f"[bold]{report['verdict']}[/bold]")
    session.out.result(report, shown)
    if not result.passed:
        raise NotPassedError
