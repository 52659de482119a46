"""Bridges as tables: of moves, of injections, trained ones, and maps between two layers."""

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


def bridge_table(report: dict[str, Any]) -> Table:
    """The input side of a move."""
    shown = table(f"bridge {report['name']}  (held-out pairs)", "", "before", "after")
    shown.add_row("cosine", f"{report['cosine_before']:.3f}", f"{report['cosine_after']:.3f}")
    shown.add_row("R2", "", f"{report['r2']:.3f}")
    shown.add_row("pairs", "", f"{report['pairs']} ({report['paired_share']:.0%} of positions)")
    return shown


def injection_table(report: dict[str, Any]) -> Table:
    """An injection with its bridges."""
    title = f"{report['name']}: {report['part']} in block {report['layer']}"
    shown, found = table(title, "", "held out"), report["reproduction"]
    shown.add_row("bridges from", report["start"])
    if report["inward"] is not None:
        shown.add_row("way in, R2", f"{report['inward']['r2']:.3f}")
    shown.add_row("target's own part, R2", f"{found['r2']:.3f}")
    shown.add_row("cosine", f"{found['cosine']:.3f}")
    shown.add_row("MSE (of the mean)", f"{found['mse']:.4f} ({found['baseline']:.4f})")
    shown.add_row("gate", f"{report['gate']['kind']} {report['gate']['mean']:.3f}")
    return shown
