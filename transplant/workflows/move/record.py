"""Recorded moves, recomputed from the artifacts that they left: nothing is trained or fitted."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.workflows.move.recompute import MISMATCH, NEAR, REPRODUCED, recompute
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.library import Library


def results_report(
    work: Work, library: Library, path: Path, *, allow_other_text: bool
) -> dict[str, Any]:
    """Every recorded move, number by number.

    Args:
        work: library, device, seed and reporter.
        library: what holds the artifacts of the recorded moves.
        path: JSON of recorded moves.
        allow_other_text: whether numbers that are near on other text are a pass.
    """
    began = time.monotonic()
    recorded = read_record(path)
    moves = [recompute(work, library, move) for move in recorded["moves"]]
    verdicts = {move["verdict"] for move in moves}
    accepted = {REPRODUCED, NEAR} if allow_other_text else {REPRODUCED}
    worst = next(v for v in (MISMATCH, NEAR, REPRODUCED) if v in verdicts)
    if worst == NEAR:
        work.reporter.warn(
            "the text is not the one that was recorded, so the numbers can only be near: Python "
            f"{platform.python_version()} here, {recorded.get('python', 'unknown')} there"
        )
    return {
        "record": str(path),
        "command": recorded.get("command"),
        "pass": verdicts <= accepted,
        "verdict": worst,
        "moves": moves,
        "made": work.made(),
        "seconds": time.monotonic() - began,
    }


def read_record(path: Path) -> dict[str, Any]:
    """Recorded moves under `moves`: a file may hold that, a list of moves, or one move.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read {path}: {error}",
            expected="JSON of abi transfer",
            hint="abi transfer ... --json > FILE",
        ) from error
    if isinstance(found, dict) and "moves" not in found:
        found = [found]
    record = {"moves": found} if isinstance(found, list) else found
    needed = ("donor", "name", "target", "seed", "ppl", "recovered", "nib", "split", "made")
    for move in record["moves"] or [{}]:
        missing = [key for key in needed if key not in move]
        if missing:
            raise InputError(f"{path} holds no whole move", expected=needed, found=f"no {missing}")
    return record
