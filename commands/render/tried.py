"""Table of the settings that were tried on the calibration split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from commands.output import table
from transplant.calibration.changes.spec import BEGINS_WITH

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def explained(shown: Table, tried: Sequence[dict[str, Any]]) -> Group:
    """A result, and under it every way that was tried, with its loss on the calibration split."""
    from rich.console import Group

    weight = "weight of log p_donor - log p_target"
    ways = table("tried on the calibration split", "change", weight, "gain", "nats per token", "")
    best = min((way["loss"] for way in tried), default=None)
    for way in tried:
        ways.add_row(
            way.get("change", BEGINS_WITH),
            f"{way['donor_word']:g}",
            f"{way['gain']:g}",
            f"{way['loss']:.4f}",
            "chosen" if way["loss"] == best else "",
        )
    return Group(shown, ways)
