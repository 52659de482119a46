"""Table of the settings that were tried on the calibration split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transplant.calibration.changes.spec import BEGINS_WITH
from transplant.calibration.config import PRODUCT
from transplant.tables.table import Sheet, Table


def explained(shown: Table, tried: Sequence[dict[str, Any]]) -> Sheet:
    """A result, and under it every way that was tried, with its loss on the calibration split."""
    weight = "weight of log p_donor - log p_target"
    ways = Table("tried on the calibration split", "change", weight, "gain", "nats per token", "")
    best = min((way["loss"] for way in tried), default=None)
    for way in tried:
        ways.add(
            way.get("change", BEGINS_WITH) + (", product" if way.get("longer") == PRODUCT else ""),
            f"{way['donor_word']:g}",
            f"{way['gain']:g}",
            f"{way['loss']:.4f}",
            "chosen" if way["loss"] == best else "",
        )
    return Sheet(shown, ways)
