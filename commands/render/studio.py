"""Address of the studio as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text


def studio_view(report: dict[str, Any]) -> Text:
    """Where it is open, what it shows, and how it ends; the address is never cut."""
    from rich.text import Text

    lines = [report["url"], f"registry {report['registry']}", "Ctrl-C stops it"]
    if report["token"]:
        lines.insert(1, "not on loopback: whoever has this address can read all of it")
    return Text("\n".join(lines), no_wrap=True, overflow="ignore")
