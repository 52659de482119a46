"""Recorded moves, recomputed from the artifacts that they left: nothing is trained or fitted."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import CorruptError, InputError, foreign
from transplant.workflows.move.recompute import MISMATCH, NEAR, REPRODUCED, recompute
from transplant.workflows.revisions import check_revisions
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.library import Library

MAX_RECORD = 1 << 26  # bytes
MOVE: dict[str, Any] = {
    "donor": str, "name": str, "target": str, "seed": int, "ppl": dict[str, Any],
    "recovered": dict[str, Any], "nib": dict[str, Any], "split": str, "made": dict[str, Any],
    "module_sha256": dict[str, str],
}  # fmt: skip
"""What a recorded move must hold, and of which type."""


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
    named = (move[role] for move in recorded["moves"] for role in ("donor", "name"))
    check_revisions(work.revision, named)
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
    from transplant.files import strict_json
    from transplant.files.decode import decode
    from transplant.files.plain import read_plain

    hint = "`transfer(..., json=True)` > FILE"
    with foreign(f"cannot read {path}", InputError, expected="JSON of `transfer()`", hint=hint):
        found = strict_json.parse(read_plain(path, MAX_RECORD, follow=True).decode())
    if isinstance(found, dict) and "moves" not in found:
        found = [found]
    record = {"moves": found} if isinstance(found, list) else found
    try:
        moves = decode(tuple[dict[str, Any], ...], record["moves"], f"{path}: moves")
        for number, move in enumerate(moves or [{}]):
            missing = [key for key in MOVE if key not in move]
            if missing:
                raise InputError(
                    f"{path} holds no whole move", expected=[*MOVE], found=f"no {missing}"
                )
            for key, hint_of in MOVE.items():
                decode(hint_of, move[key], f"{path}: moves[{number}].{key}")
            decode(str, move["made"].get("corpus"), f"{path}: moves[{number}].made.corpus")
            options = move["made"].get("options")
            decode(dict[str, Any], options, f"{path}: moves[{number}].made.options")
    except CorruptError as error:
        raise InputError(
            error.what, expected=error.expected, found=error.found, hint=hint
        ) from error
    except TypeError as error:  # neither a list nor an object
        raise InputError(f"{path} holds no moves", expected="JSON of `transfer()`") from error
    return record
