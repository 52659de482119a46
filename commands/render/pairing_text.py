"""The text that a move was paired on, in one line, where a donor has written it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def written_text(report: Mapping[str, Any]) -> str | None:
    """How synthetic text was made and chosen; None for text that somebody has brought."""
    text = report.get("pairing_text")
    if text is None:
        return None
    said = f"synthetic: {text['written']:,} documents that the donor wrote"
    if "donor_gain" in text:
        said += (
            f", {text['kept']:,} kept, on which it gains {text['donor_gain']:.3f} nats per token "
            f"(on all {text['donor_gain_of_all']:.3f})"
        )
    return said + ("; no other text learned from or chosen by" if text["text_free"] else "")


def add_written_text(shown: Table, report: Mapping[str, Any]) -> None:
    """The same as a row of a table of five columns."""
    said = written_text(report)
    if said is not None:
        shown.add_row("pairing text", "", "", "", f"[dim]{said}[/dim]")
