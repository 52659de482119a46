"""The ceiling of a move, as rows of its table and a line under it."""

from __future__ import annotations

from typing import Any

from transplant.calibration.changes.spec import BEGINS_WITH
from transplant.tables.shares import bounds_text, share_text
from transplant.tables.table import Table
from transplant.tables.words import faint

ROWS = {"change": "ceiling", "change_and_raw": "ceiling, with raw"}


def add_ceiling(shown: Table, report: dict[str, Any]) -> None:
    """Adds what donor and target recover side by side, where they were run so."""
    found = report.get("ceiling")
    if found is None:
        return
    teachers = report.get("made", {}).get("donor", {}).get("teachers", ())
    change = "the donor's change" if not teachers else "the mean change of all donors"
    models = "both models" if not teachers else f"all {len(teachers) + 1} models"
    for name, title in ROWS.items():
        row = found[name]
        weight = row["donor_word"]
        raw = f" + {weight:g} raw log ratio" if name == "change_and_raw" else ""
        shown.add(
            title, f"{row['ppl']:.2f}", share_text(row["recovered"]),
            bounds_text(row["interval"]),
            faint(
                f"{models} side by side: {change}{raw}, gain {row['gain']:g}, "
                f"{row.get('change', BEGINS_WITH)}"
            ),
        )  # fmt: skip
    shown.note(losses_line(found, "all" if teachers else "both"))


def losses_line(found: dict[str, Any], models: str = "both") -> str:
    """What of the native's gain is lost on the way, in one line."""
    if found["vocabulary_loses"] is None:
        return str(found.get("no_ceiling", ""))
    return (
        f"of the native's gain {found['vocabulary_loses']:.3f} is lost between donor and "
        f"vocabulary ({found['paired_share']:.0%} of the tokens are predicted by {models}), "
        f"{found['alignment_loses']:.3f} in alignment"
    )
