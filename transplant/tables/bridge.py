"""Bridges as tables: of moves, of injections, trained ones, and maps between two layers."""

from __future__ import annotations

import math
from typing import Any

from transplant.tables.table import Table


def training_table(report: dict[str, Any]) -> Table:
    """A trained bridge."""
    matched, text = report["matched"], report["text"]
    shown = Table(f"bridge {report['name']} for {report['part']}  (held out)", "", "")
    for when in ("before", "after"):
        shown.add(f"R2 {when}", f"{matched[when]['r2']:.3f}")
    mse = f"{matched['after']['mse']:.4f}, {matched['mean_prediction_mse']:.4f}"
    shown.add("MSE, and of the mean", mse)
    shares = ", ".join(f"{share:.2f}" for share in matched["shares"])
    shown.add("shares of the specialists", shares)
    if text is not None:
        ppl = text["ppl"]
        low, high = (math.expm1(bound) for bound in text["change_in_nats"]["interval"])
        change = f"{ppl['raw']:.2f} -> {ppl['injected']:.2f} ({low:+.2%} .. {high:+.2%})"
        shown.add("perplexity", change)
        shown.add("gate", f"{report['gate']['kind']} {text['gate']:.3f}")
    return shown


def between_table(report: dict[str, Any]) -> Table:
    """A map between two layers."""
    shown = Table(f"bridge {report['name']}  (held-out rows)", "", "before", "after")
    for key in ("cosine", "mse"):
        before = report[f"{key}_before"]
        first = "" if before is None else f"{before:.3f}"
        shown.add(key, first, f"{report[f'{key}_after']:.3f}")
    shown.add("R2", "", f"{report['r2']:.3f}")
    shown.add("pairs", "", f"{report['pairs']}")
    return shown


def bridge_table(report: dict[str, Any]) -> Table:
    """The input side of a move."""
    shown = Table(f"bridge {report['name']}  (held-out pairs)", "", "before", "after")
    shown.add("cosine", f"{report['cosine_before']:.3f}", f"{report['cosine_after']:.3f}")
    shown.add("R2", "", f"{report['r2']:.3f}")
    shown.add("pairs", "", f"{report['pairs']} ({report['paired_share']:.0%} of positions)")
    return shown


def injection_table(report: dict[str, Any]) -> Table:
    """An injection with its bridges."""
    title = f"{report['name']}: {report['part']} in block {report['layer']}"
    shown, found = Table(title, "", "held out"), report["reproduction"]
    shown.add("bridges from", report["start"])
    if report["inward"] is not None:
        shown.add("way in, R2", f"{report['inward']['r2']:.3f}")
    shown.add("target's own part, R2", f"{found['r2']:.3f}")
    shown.add("cosine", f"{found['cosine']:.3f}")
    shown.add("MSE (of the mean)", f"{found['mse']:.4f} ({found['baseline']:.4f})")
    shown.add("gate", f"{report['gate']['kind']} {report['gate']['mean']:.3f}")
    return shown
