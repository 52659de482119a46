"""Fit the map that lets a module read another backbone, or a map between any two layers.

Example: abi bridge-align --module python@ref-gpt2 --to ref-llama
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.options.move import MOVE, PairingData, PairOptions, TargetTaps
from commands.options.shared import NameOption, Replace
from commands.output import table
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
    from transplant.workflows.move.move import Move

    if between is not None:
        from commands.render.bridge import between_table
        from transplant.workflows.align import align_between

        found = align_between(
            session, between, data, method, pairs.excerpts, name or "align", replace=replace
        )
        session.out.result(found, between_table(found))
        return
    if module is None or to is None:
        raise InputError("abi bridge-align", expected="--module and --to, or --between A B")
    config = pairs.fit(method, session.seed, taps)
    move = Move(session, module, to, data, None, config, name)
    move.claim("bridge", replace=replace)
    quality = move.bridge.quality
    report = {
        "name": f"{move.moved_name}@{to}",
        "donor": module,
        "target": to,
        "method": method,
        "taps": list(move.bridge.interface.taps),
        "pairing_split": move.pairing_split,
        "seed": session.seed,
        **dataclasses.asdict(quality),
        "seconds": move.seconds,
        "path": move.store_bridge(replace=replace),
    }
    shown = table(f"bridge {report['name']}  (held-out pairs)", "", "before", "after")
    shown.add_row("cosine", f"{quality.cosine_before:.3f}", f"{quality.cosine_after:.3f}")
    shown.add_row("R2", "", f"{quality.r2:.3f}")
    shown.add_row("pairs", "", f"{quality.pairs} ({quality.paired_share:.0%} of positions)")
    session.out.result(report, shown)
