"""Capture the hidden states of a frozen backbone into an HDF5 file.

Example: abi capture --backbone ref-llama --data python --taps all --out acts.h5
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from commands.fence import NotPassedError
from commands.options.shared import Window
from commands.session import Session
from transplant.dtypes import AUTO
from transplant.errors import InputError
from transplant.files.writable import check_writable

STORED = ("fp32", "fp16", "bf16")


def capture(
    session: Session,
    backbone: Annotated[
        str | None, typer.Option(help="The backbone: a registry name, folder or hub id.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Text: prose, python, a file, a folder, a data set.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
    taps: Annotated[
        str, typer.Option(help="all, last, or a list as 0,3,block.2.attn,block.2.mlp.in.")
    ] = "last",
    dtype: Annotated[
        str,
        typer.Option(help="Arithmetic of the backbone; fp32, fp16, bf16 are short for --stored."),
    ] = AUTO,
    stored: Annotated[str, typer.Option(help="Stored as fp32, fp16 or bf16.")] = STORED[0],
    window: Window = 512,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Stop after this many tokens.")
    ] = None,
    pool: Annotated[
        str, typer.Option(help="none: a row for each token; mean or last: one for each window.")
    ] = "none",
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted file.")] = False,
    inspect: Annotated[
        Path | None, typer.Option(help="Say what a file holds, and do nothing else.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Compute a sample of a file again and compare.")
    ] = None,
) -> None:
    """Capture the hidden states of a frozen backbone into an HDF5 file."""
    from transplant.tables.capture import capture_table
    from transplant.workflows.capture import CaptureJob, inspect_file, run_capture, verify_file

    if inspect is not None:
        report = inspect_file(inspect)
    elif verify is not None:
        report = verify_file(session, verify)
    elif backbone is None or data is None or out is None:
        raise InputError(
            "abi capture", expected="--backbone, --data and --out; or --inspect, or --verify FILE"
        )
    else:
        check_writable(out)
        if dtype in STORED:
            dtype, stored = AUTO, dtype
        session = dataclasses.replace(session, dtype=dtype)
        job = CaptureJob(
            backbone=backbone, data=data, out=out, taps=taps, dtype=stored, window=window,
            max_tokens=max_tokens, pool=pool,
        )  # fmt: skip
        report = run_capture(session, job, resume=resume)
    session.out.result(report, capture_table(report))
    if report.get("identical") is False:
        raise NotPassedError
