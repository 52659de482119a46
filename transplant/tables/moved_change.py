"""The text that a move was paired on, where a donor has written it, and what of it is general."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transplant.tables.shares import bounds_text
from transplant.tables.table import Table
from transplant.tables.words import faint


def moved_lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A title and a line for each of the two that a report has."""
    if "pairing_text" in report:
        yield "pairing text", written_text(report["pairing_text"])
    if "general" in report:
        yield "general", general_text(report["general"])


def written_text(text: Mapping[str, Any]) -> str:
    """How synthetic text was made and chosen."""
    said = f"synthetic: {text['written']:,} documents that the donor wrote"
    if text.get("guidance"):
        said += f" with guidance {text['guidance']:g}"
    if "donor_gain" in text:
        said += (
            f", {text['kept']:,} kept, on which it gains {text['donor_gain']:.3f} nats per token "
            f"(on all {text['donor_gain_of_all']:.3f})"
        )
    return said + ("; no other text learned from or chosen by" if text["text_free"] else "")


def general_text(general: Mapping[str, Any]) -> str:
    """How much of the donor's change the module of general text explains."""
    said = (
        f"{general['module']} explains {general['variance']:.3f} of the variance of the donor's "
        f"change (slope {general['slope']:.2f})"
    )
    if general["nats"] is not None:
        said += f", and {general['nats']:.3f} ({bounds_text(general['interval'])}) of its nats"
    return said + (f"; {general['less']:g} of it taken away" if general["less"] else "")


def add_moved_change(shown: Table, report: Mapping[str, Any]) -> None:
    """The same as rows of a table of five columns."""
    for title, said in moved_lines(report):
        shown.add(title, "", "", "", faint(said))
