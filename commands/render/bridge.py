"""Bridges as tables: trained ones, and maps between two layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from commands.output import table

if TYPE_CHECKING:
    from rich.table import Table


def training_table(report: dict[str, Any]) -> Table:
    """A trained bridge."""
    matched, text = report["matched"], report["text"]
    shown = table(f"bridge {report['name']} for {report['part']}  (held out)", "", "")
    for when in ("before", "after"):
        shown.add_row(f"R2 {when}", f"{matched[when]['r2']:.3f}")
    mse = f"{matched['after']['mse']:.4f}, {matched['mean_prediction_mse']:.4f}"
    shown.add_row("MSE, and of the mean", mse)
    shares = ", ".join(f"{share:.2f}" for share in matched["shares"])
    shown.add_row("shares of the specialists", shares)
    if text is not None:
        ppl = text["ppl"]
        low, high = (math.expm1(bound) for bound in text["change_in_nats"]["interval"])
        change = f"{ppl['raw']:.2f} -> {ppl['injected']:.2f} ({low:+.2%} .. {high:+.2%})"
        shown.add_row("perplexity", change)
        shown.add_row("gate", f"{report['gate']['kind']} {text['gate']:.3f}")
    return shown


def between_table(report: dict[str, Any]) -> Table:
    """A map between two layers."""
    shown = table(f"bridge {report['name']}  (held-out rows)", "", "before", "after")
    for key in ("cosine", "mse"):
        before = report[f"{key}_before"]
        first = "" if before is None else f"{before:.3f}"
        shown.add_row(key, first, f"{report[f'{key}_after']:.3f}")
    shown.add_row("R2", "", f"{report['r2']:.3f}")
    shown.add_row("pairs", "", f"{report['pairs']}")
    return shown
