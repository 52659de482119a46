"""Recorded moves, recomputed from the artifacts that they left: nothing is trained or fitted."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.output import table
from commands.recomputed_move import MISMATCH, NEAR, REPRODUCED, recompute
from commands.session import Session
from transplant.errors import InputError

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

SHIPPED = "headline.json"


def results_report(
    session: Session, record: Path | None, *, allow_other_text: bool
) -> dict[str, Any]:
    """Every recorded move, number by number.

    Args:
        session: the run; its registry has the artifacts of `record`.
        record: JSON of `abi transfer`; None for what ships with abi, from what ships with it.
        allow_other_text: whether numbers that are near on other text are a pass.
    """
    from registry.store import REFERENCE, Registry

    began = time.monotonic()
    library = session.registry if record else Registry(REFERENCE)
    path = record or REFERENCE / SHIPPED
    recorded = read_record(path)
    moves = [recompute(session, library, move) for move in recorded["moves"]]
    verdicts = {move["verdict"] for move in moves}
    accepted = {REPRODUCED, NEAR} if allow_other_text else {REPRODUCED}
    worst = next(v for v in (MISMATCH, NEAR, REPRODUCED) if v in verdicts)
    if worst == NEAR:
        session.out.warn(
            "the text is not the one that was recorded, so the numbers can only be near: Python "
            f"{platform.python_version()} here, {recorded.get('python', 'unknown')} there"
        )
    return {
        "record": str(path),
        "command": recorded.get("command"),
        "pass": verdicts <= accepted,
        "verdict": worst,
        "moves": moves,
        "made": session.made(),
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


def results_table(report: dict[str, Any]) -> Group:
    """Number by number, a table for each move."""
    from rich.console import Group

    verdict = report["verdict"] if report["pass"] else f"{report['verdict']}: does not pass"
    last = f"\n[bold]{verdict}[/bold]  {report['seconds']:.0f} s, from {report['record']}"
    made = [f"made by: {report['command']}"] if report["command"] else []
    return Group(*(_move_table(move) for move in report["moves"]), last, *made)


def _move_table(move: dict[str, Any]) -> Table:
    title = f"{move['donor']} -> {move['name']}"
    shown = table(title, "", "recorded", "recomputed", "tolerance", "agrees")
    for number in move["numbers"]:
        shown.add_row(
            number["name"].replace("_", " "),
            *(f"{number[key]:.4f}" for key in ("recorded", "recomputed")),
            f"+- {number['tolerance']:.4f}",
            _word(number["agrees"]),
        )
    shown.add_section()
    hashes = move["module_sha256"]
    for side, found in hashes["found"].items():
        recorded = hashes["recorded"][side]
        agrees = _word(recorded == found)
        shown.add_row(f"module sha256, {side}", recorded[:12], found[:12], "", agrees)
    split = move["split"]
    shown.add_row(
        "held-out text", split["recorded"][:12], split["found"][:12], "", _word(split["same"])
    )
    control = move["control"]
    differs = "differs" if control["differs"] else "[red]DOES NOT DIFFER[/red]"
    ppl = (f"{control['ppl'][name]:.4f}" for name in ("candidate", "sign_flipped"))
    shown.add_row(f"control: a sign flipped, {control['tokens']:,} tokens", *ppl, "", differs)
    if move["not_recomputed"]:
        shown.caption = f"not recomputed, as they need a fit: {', '.join(move['not_recomputed'])}"
    return shown


def _word(agrees: bool) -> str:
    return "yes" if agrees else "[red]NO[/red]"
