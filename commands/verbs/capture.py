"""Capture the hidden states of a frozen backbone into an HDF5 file.

Example: abi capture --backbone ref-llama --data python --taps all --out acts.h5
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from commands.options import Field, Window, described_by
from commands.session import Session
from transplant.dtypes import AUTO
from transplant.errors import InputError
from transplant.validation import Bounds
from transplant.workflows.capture_job import SHORT, CaptureJob, arithmetic_of, check_alone

FORMATS = f"As the file stores states: {', '.join(SHORT)}; default: {CaptureJob.stored}."
Stored = Annotated[str | None, Field(help=FORMATS)]


@described_by("workflows.capture_job.CaptureJob")
def capture(
    session: Session,
    *,
    backbone: str | None = None,
    data: str | None = None,
    out: Path | None = None,
    taps: str = CaptureJob.taps,
    dtype: str = AUTO,
    stored: Stored = None,
    window: Window = CaptureJob.window,
    max_tokens: Annotated[int | None, Bounds(1)] = None,
    pool: str = CaptureJob.pool,
    resume: Annotated[
        bool, Field(spelled="--resume", help="Continue an interrupted file.")
    ] = False,
    inspect: Path | None = None,
    verify: Path | None = None,
) -> None:
    """Capture the hidden states of a frozen backbone into an HDF5 file.

    Args:
        dtype: arithmetic of the backbone; fp32, fp16, bf16 are short for --stored.
        inspect: say what a file holds, and do nothing else.
        verify: compute a sample of a file again and compare.
    """
    from transplant.tables.capture import capture_table
    from transplant.workflows.capture import inspect_file, run_capture, verify_file

    asked = {
        "backbone": backbone, "data": data, "out": out, "taps": taps,
        "dtype": None if dtype == AUTO else dtype, "stored": stored, "window": window,
        "max_tokens": max_tokens, "pool": pool, "resume": resume,
    }  # fmt: skip
    if inspect is not None:
        check_alone("inspect", **asked, verify=verify)
        report = inspect_file(inspect)
    elif verify is not None:
        check_alone("verify", **asked)
        report = verify_file(session, verify)
    elif backbone is None or data is None or out is None:
        raise InputError(
            "abi capture", expected="--backbone, --data and --out; or --inspect, or --verify FILE"
        )
    else:
        dtype, stored = arithmetic_of(dtype, stored)
        session = dataclasses.replace(session, dtype=dtype)
        job = CaptureJob(
            backbone=backbone, data=data, out=out, taps=taps, stored=stored, window=window,
            max_tokens=max_tokens, pool=pool,
        )  # fmt: skip
        report = run_capture(session, job, resume=resume)
    passed = report.get("identical") is not False
    session.out.result(report, capture_table(report), passed=passed)
