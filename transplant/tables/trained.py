"""The table of a trained module."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import bounds_text
from transplant.tables.table import Table


def trained_table(report: dict[str, Any]) -> Table:
    """Perplexities on held-out text, and what was gained over the raw backbone."""
    shown = Table(f"{report['name']}  (held out)", "", "perplexity")
    for system, value in report["ppl"].items():
        shown.add(system, f"{value:.2f}")
    gained = report["difference"]["raw"]
    shown.note(
        f"gained {gained['nats']:.3f} nats per token ({bounds_text(gained['interval'])}); "
        f"hidden states: {report['hidden_states']}"
    )
    return shown
