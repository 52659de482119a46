"""Fit the map that lets a module read another backbone, or a map between any two layers.

Example: abi bridge-align --module python@ref-gpt2 --to ref-llama
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.move import MOVE, PairingData, PairOptions, TargetTaps
from commands.options.shared import NameOption, Replace
from commands.session import Session
from transplant.errors import InputError


def bridge_align(
    session: Session,
    *,
    module: Annotated[str | None, typer.Option(help="The module to move: python@ref-gpt2.")] = None,
    to: Annotated[str | None, typer.Option(help="The backbone it moves to.")] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Instead: two of FILE.h5:TAP, BACKBONE:TAP or BACKBONE:embeddings."),
    ] = None,
    data: PairingData = "prose",
    method: Annotated[
        str, typer.Option(help="ridge, procrustes; --between: rotation, cca.")
    ] = MOVE.method,
    pairs: PairOptions,
    taps: TargetTaps = "all",
    name: NameOption = None,
    replace: Replace = False,
) -> None:
    """Fit the map that lets a module read another backbone, or a map between any two layers."""
    if between is not None:
        from transplant.tables.bridge import between_table
        from transplant.workflows.align import align_between

        found = align_between(
            session, between, data, method, pairs.excerpts, name or "align", replace=replace
        )
        session.out.result(found, between_table(found))
        return
    if module is None or to is None:
        raise InputError("abi bridge-align", expected="--module and --to, or --between A B")
    from transplant.tables.bridge import bridge_table
    from transplant.workflows.move.bridge import run_bridge
    from transplant.workflows.move.move import Move

    config = pairs.fit(method, session.seed, taps)
    move = Move(session, module, to, data, None, config, name)
    report = run_bridge(move, replace=replace)
    session.out.result(report, bridge_table(report))
