"""Recorded numbers beside recomputed ones, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table
from transplant.pictures.shares import NO_CEILING, share_text

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


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
            *number_texts(number),
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
    told = [move.get("no_ceiling")]
    if move["not_recomputed"]:
        told.append(f"not recomputed, as they need a fit: {', '.join(move['not_recomputed'])}")
    shown.caption = "\n".join(filter(None, told)) or None
    return shown


def number_texts(number: dict[str, Any]) -> tuple[str, str]:
    """A number as recorded and as recomputed; a share of a native's gain that is nothing is none.

    What an older version has recorded of such a share is a number, and not shown as one.
    """
    if number["recomputed"] is None:
        return NO_CEILING, NO_CEILING
    return share_text(number["recorded"], ".4f"), f"{number['recomputed']:.4f}"


def _word(agrees: bool) -> str:
    return "yes" if agrees else "[red]NO[/red]"
