"""In-source and out-of-source text beside one another."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import bounds_text, share_in
from transplant.tables.table import Sheet, Table


def sources_table(report: dict[str, Any]) -> Table:
    """What each system is worth on each source."""
    shown = Table(
        "\nin source and out of source",
        "source", "system", "perplexity", "bits/byte", "gained nats/token", "95 %", "recovered",
    )  # fmt: skip
    rows = {"in source": report["in_source"], **report["out_of_source"]}
    for source, found in rows.items():
        for system, ppl in found["ppl"].items():
            gain = found["gain"].get(system)
            shown.add(
                source if system == "raw" else "", system, f"{ppl:.2f}",
                f"{found['bits_per_byte'][system]:.3f}",
                *(gain_text(gain) if gain else ("", "")),
                share_in(found["recovered"], system),
            )  # fmt: skip
        shown.end_section()
    for name, found in report["out_of_source"].items():
        if found["dropped"]:
            shown.note(
                f"{name}: {found['dropped']} documents left out that are in the training text"
            )
    shown.note(*sorted({found["no_ceiling"] for found in rows.values() if "no_ceiling" in found}))
    return shown


def with_sources(shown: Sheet | Table, report: dict[str, Any]) -> Sheet | Table:
    """A table, and below it that of the sources, where there are any."""
    return Sheet(shown, sources_table(report["sources"])) if "sources" in report else shown


def gain_text(gain: dict[str, Any]) -> tuple[str, str]:
    """A gain and its interval."""
    return f"{gain['nats']:+.4f}", bounds_text(gain["interval"], "+.4f")
