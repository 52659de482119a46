"""Fit the map that lets a module read another backbone.

Example: abi bridge-align --module python@ref-gpt2 --to ref-llama
"""

from __future__ import annotations

import dataclasses

from commands.options import (
    MOVE,
    Excerpts,
    Method,
    ModuleOption,
    NameOption,
    PairingData,
    Replace,
    TargetOption,
    TargetTaps,
    parse_taps,
)
from commands.output import table
from commands.session import Session


def bridge_align(
    session: Session,
    module: ModuleOption,
    to: TargetOption,
    data: PairingData = "prose",
    method: Method = MOVE.method,
    excerpts: Excerpts = MOVE.excerpts,
    taps: TargetTaps = "all",
    name: NameOption = None,
    replace: Replace = False,
) -> None:
    """Fit the map that lets a module read another backbone."""
    from commands.moving import Move

    config = dataclasses.replace(
        MOVE, method=method, excerpts=excerpts, taps=parse_taps(taps), seed=session.seed
    )
    move = Move(session, module, to, data, None, config, name)
    if not replace:
        move.refuse_taken("bridge")
    path = move.store_bridge(replace=replace)
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
        "path": path,
    }
    shown = table(f"bridge {report['name']}  (held-out pairs)", "", "before", "after")
    shown.add_row("cosine", f"{quality.cosine_before:.3f}", f"{quality.cosine_after:.3f}")
    shown.add_row("R2", "", f"{quality.r2:.3f}")
    shown.add_row("pairs", "", f"{quality.pairs} ({quality.paired_share:.0%} of positions)")
    session.out.result(report, shown)
