"""The bridge of a move: fitted, stored and reported."""

from __future__ import annotations

import dataclasses
from typing import Any

from transplant.workflows.move.move import Move


def run_bridge(move: Move, *, replace: bool = False) -> dict[str, Any]:
    """Fits the input side of a move's interface and stores it.

    Args:
        move: the move; nothing of its output side is fitted.
        replace: whether a bridge of that name may go.

    Returns:
        The report: how well held-out pairs agree before and after, seconds, where it lies.

    Raises:
        ExistsError: the name is taken.
    """
    move.claim("bridge", replace=replace)
    bridge = move.bridge
    return {
        "name": f"{move.moved_name}@{move.to}",
        "donor": move.module,
        "target": move.to,
        "method": move.config.method,
        "taps": list(bridge.interface.taps),
        "pairing_split": move.pairing_split,
        "seed": move.work.seed,
        **dataclasses.asdict(bridge.quality),
        "seconds": move.seconds,
        "path": move.store_bridge(replace=replace),
    }
