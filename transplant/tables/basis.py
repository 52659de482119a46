"""Tables of BASIS."""

from __future__ import annotations

from typing import Any

from transplant.tables.shares import bounds_text
from transplant.tables.table import Table


def fit_table(report: dict[str, Any]) -> Table:
    """What was fitted: for each type of map, how few directions hold its energy."""
    text = report.get("retain", report)["corpus"]
    shown = Table(
        f"{report['name']}: {report['maps']} maps, {report['rows']:,} rows of {text}",
        "map", "count", "width", "rank of 90 %", "of 99 %",
    )  # fmt: skip
    for kind, row in report["types"].items():
        ranks = (f"{row[key]:.0f}" for key in ("rank_90", "rank_99"))
        shown.add(kind, f"{row['maps']}", f"{row['width']}", *ranks)
    of = report["directions_of"]
    shown.note(f"{report['directions']:,} directions of {of} kept, {report['seconds']:.1f} s")
    return shown


def allocation_table(report: dict[str, Any]) -> Table:
    """The ranks: a row for each layer, a column for each type of map."""
    types = [*dict.fromkeys(row["type"] for row in report["maps"])]
    layers = [*dict.fromkeys(row["layer"] for row in report["maps"])]
    ranks = {(row["layer"], row["type"]): row["rank"] for row in report["maps"]}
    title = (
        f"{report['name']}: {report['parameters']:,} of {report['budget']:,} parameters, "
        f"by {report['score']}"
    )
    shown = Table(title, "layer", *(short(kind) for kind in types))
    for layer in layers:
        cells = (str(ranks.get((layer, kind), "")) for kind in types)
        shown.add(layer_text(layer), *cells)
    kept = (
        f"{name} keeps {share:.1%}"
        for name, share in report["share_kept"].items()
        if name != "chosen"
    )
    shown.note(", ".join(kept))
    return shown


def adapt_table(report: dict[str, Any]) -> Table:
    """What was trained, and what it changed on held-out text."""
    shown = Table(
        f"{report['name']}: {report['parameters']:,} parameters inside {report['basis']}",
        "held-out text", "raw", "adapted", "difference", "95 %",
    )  # fmt: skip
    for name, row in report["losses"].items():
        values = (f"{row[key]:.4f}" for key in ("raw", "adapted"))
        shown.add(name, *values, f"{row['difference']:+.4f}", bounds_text(row["interval"]))
    shown.note(
        f"nats per token; logits at step 0 changed by {report['logits_at_step_0']:.1e}; best step "
        f"{report['best_step']}; {report['seconds']:.1f} s"
    )
    return shown


def compress_table(report: dict[str, Any]) -> Table:
    """How much was cut, and what it costs."""
    sizes, loss = report["parameters"], report["loss"]
    shown = Table(f"{report['basis']} cut to {report['ratio']:.0%} -> {report['out']}", "", "")
    shown.add("parameters of its maps", f"{sizes['maps']:,}")
    shown.add("kept, as factors", f"{sizes['kept']:,}")
    shown.add("maps that are cut", f"{report['cut']} of {report['maps']}")
    shown.add("perplexity before", f"{loss['ppl']['raw']:.3f}")
    shown.add("after", f"{loss['ppl']['adapted']:.3f}")
    shown.add("seconds", f"{report['seconds']:.1f}")
    shown.note("the folder is dense: weights have the shapes that they had")
    return shown


def layer_text(layer: int | None) -> str:
    """The number of a layer, as heads of rows say it; a dash where a map is in none."""
    return "-" if layer is None else str(layer)


def short(kind: str) -> str:
    """The name of a type of map for a column: its last parts, of T5 with its stack."""
    parts = kind.split(".")
    stack = f"{parts[0][:3]}." if parts[0] in ("encoder", "decoder") else ""
    return stack + ".".join(parts[-2:])
