"""An imported LoRA as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transplant.tables.table import Table


def lora_table(report: Mapping[str, Any], source: str) -> Table:
    """What it changes, and how far the logits are from those of PEFT.

    Args:
        report: of the import.
        source: the folder that it came from.
    """
    shown = Table(f"{report['name']}: {source}", "", "")
    shown.add("maps that it changes", f"{report['pairs']}")
    shown.add("parameters", f"{report['parameters']:,}")
    shown.add("ranks", ", ".join(map(str, report["ranks"])))
    shown.add("scales", ", ".join(f"{scale:g}" for scale in report["scales"]))
    if report["whole"]:
        shown.add("parameters trained whole", f"{len(report['whole'])}")
    for what, value in report["logits"].items():
        shown.add(what.replace("_", " "), f"{value:.2e}")
    return shown
