"""Fit the map that lets a module read another backbone, or a map between any two layers.

Example: abi bridge-align --module python@ref-gpt2 --to ref-llama
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

from commands.options import Fields, NameOption, Replace, described_by
from commands.options.move import TAPS, PairingData
from commands.session import Session
from transplant.calibration.config import MoveConfig
from transplant.errors import InputError


@described_by("workflows.transfer.job.TransferJob")
def bridge_align(
    session: Session,
    *,
    module: str | None = None,
    to: str | None = None,
    between: tuple[str, str] | None = None,
    data: PairingData = "prose",
    method: str = MoveConfig.method,
    config: Annotated[MoveConfig, Fields("excerpts excerpt_chars stride columns seed", taps=TAPS)],
    name: NameOption = None,
    replace: Replace = False,
) -> None:
    """Fit the map that lets a module read another backbone, or a map between any two layers.

    Args:
        between: instead: two of FILE.h5:TAP, BACKBONE:TAP or BACKBONE:embeddings.
        method: `ridge`, procrustes; --between: rotation, cca.
    """
    if between is not None:
        from transplant.tables.bridge import between_table
        from transplant.workflows.align import align_between, check_between

        check_between(config, module=module, to=to)
        found = align_between(
            session, between, data, method, config.excerpts, name or "align", replace=replace
        )
        session.out.result(found, between_table(found))
        return
    if module is None or to is None:
        raise InputError("abi bridge-align", expected="--module and --to, or --between A B")
    from transplant.tables.bridge import bridge_table
    from transplant.workflows.move.bridge import run_bridge
    from transplant.workflows.move.move import Move

    move = Move(session, module, to, data, None, dataclasses.replace(config, method=method), name)
    report = run_bridge(move, replace=replace)
    session.out.result(report, bridge_table(report))
