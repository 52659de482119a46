"""Backbones as tables: one that was added, trained ones, the sizes of cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transplant.tables.table import Table, left


def added_table(name: str, report: Mapping[str, Any]) -> Table:
    """A backbone of the library: its size, its vocabulary, its weights and where they are."""
    shown = Table(f"backbone {name}", "", left(""))
    shown.add("family", f"{report['family']}, {report['parameters']:,} parameters")
    shown.add("layers", f"{report['layers']} of width {report['d_model']:,}")
    shown.add("tokens", f"{report['vocabulary']:,}, {report['context']:,} at once")
    shown.add("weights", f"sha256 {report['weights_sha256']}")
    shown.add("files", f"{report['folder']} ({report['bytes']:,} bytes)")
    if report["known"]:
        shown.add("known already", ", ".join(report["known"]))
    shown.note(f"{report['added']['by']}; {report['seconds']:.1f} s")
    return shown


def core_table(report: Mapping[str, Any]) -> Table:
    """A core, or the plain transformer beside it: what it cost, and its held-out perplexity."""
    shown = Table(f"{report['name']} -> {report['path']}", "", "")
    _add_costs(shown, report, "parameters", "tokens", "train_loss", "train_seconds")
    shown.add("held-out perplexity", f"{report['ppl']:.2f}")
    return shown


def reference_table(report: Mapping[str, Any], folder: str) -> Table:
    """A reference backbone: what it cost, and its held-out perplexity on each text.

    Args:
        report: of its training.
        folder: where it was written.
    """
    shown = Table(f"{report['name']} -> {folder}", "", "")
    _add_costs(shown, report, "parameters", "tokens", "train_loss")
    for corpus, ppl in report["ppl"].items():
        shown.add(f"held-out perplexity, {corpus}", f"{ppl:.2f}")
    return shown


def _add_costs(shown: Table, report: Mapping[str, Any], *keys: str) -> None:
    for key in keys:
        shown.add(key.replace("_", " "), f"{report[key]:,.6g}")


def sizes_table(rows: Sequence[Mapping[str, Any]], vocabulary: int) -> Table:
    """The sizes of cores, and which of them the library holds.

    Args:
        rows: a size each.
        vocabulary: the number of tokens that parameters are counted with.
    """
    shown = Table(
        f"LayerCake cores, parameters with {vocabulary:,} tokens",
        "name", "parameters", "d_model", "layers", "heads", "d_ff", "d_abi", "in the registry",
    )  # fmt: skip
    for row in rows:
        numbers = (row[key] for key in ("d_model", "n_layers", "n_heads", "d_ff", "d_abi"))
        there = "yes" if row["in_registry"] else "no"
        shown.add(row["name"], f"{row['parameters']:,}", *map(str, numbers), there)
    return shown
