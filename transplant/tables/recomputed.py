"""Recorded numbers beside recomputed ones, as tables."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import NO_CEILING, share_text
from transplant.tables.table import Sheet, Table
from transplant.tables.words import Marked, bad, strong


def results_sheet(report: dict[str, Any]) -> Sheet:
    """Number by number, a table for each move."""
    verdict = report["verdict"] if report["pass"] else f"{report['verdict']}: does not pass"
    last = ("\n", strong(verdict), f"  {report['seconds']:.0f} s, from {report['record']}")
    made = [f"made by: {report['command']}"] if report["command"] else []
    return Sheet(*(_move_table(move) for move in report["moves"]), last, *made)


def _move_table(move: dict[str, Any]) -> Table:
    title = f"{move['donor']} -> {move['name']}"
    shown = Table(title, "", "recorded", "recomputed", "tolerance", "agrees")
    for number in move["numbers"]:
        shown.add(
            number["name"].replace("_", " "),
            *number_texts(number),
            f"+- {number['tolerance']:.4f}",
            _word(number["agrees"]),
        )
    shown.end_section()
    hashes = move["module_sha256"]
    for side, found in hashes["found"].items():
        recorded = hashes["recorded"][side]
        agrees = _word(recorded == found)
        shown.add(f"module sha256, {side}", recorded[:12], found[:12], "", agrees)
    split = move["split"]
    shown.add(
        "held-out text", split["recorded"][:12], split["found"][:12], "", _word(split["same"])
    )
    control = move["control"]
    differs = "differs" if control["differs"] else bad("DOES NOT DIFFER")
    ppl = (f"{control['ppl'][name]:.4f}" for name in ("candidate", "sign_flipped"))
    shown.add(f"control: a sign flipped, {control['tokens']:,} tokens", *ppl, "", differs)
    shown.note(move.get("no_ceiling"))
    if move["not_recomputed"]:
        shown.note(f"not recomputed, as they need a fit: {', '.join(move['not_recomputed'])}")
    return shown


def number_texts(number: dict[str, Any]) -> tuple[str, str]:
    """A number as recorded and as recomputed; a share of a native's gain that is nothing is none.

    What an older version has recorded of such a share is a number, and not shown as one.
    """
    if number["recomputed"] is None:
        return NO_CEILING, NO_CEILING
    return share_text(number["recorded"], ".4f"), f"{number['recomputed']:.4f}"


def _word(agrees: bool) -> str | Marked:
    return "yes" if agrees else bad("NO")
