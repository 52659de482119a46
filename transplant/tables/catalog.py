"""A catalog of pieces and states as tables."""

from __future__ import annotations

from typing import Any

from transplant.tables.table import Sheet, Table

SHOWN = 24  # heads with a role


def catalog_sheet(report: dict[str, Any]) -> Sheet:
    """Roles of heads, ranks of maps and states, similar layers."""
    shown: list[Table | str] = [_roles(report), _pieces(report), _taps(report)]
    if "similarity" in report:
        shown.append(_layers(report["similarity"]))
    if "file" in report:
        shown.append(f"\n{report['file']}")
    return Sheet(*shown)


def _roles(report: dict[str, Any]) -> Table:
    heads = report["heads"]
    known = [row for row in heads if row["role"] is not None]
    title = f"{report['bank']}@{report['backbone']}: {len(known)} of {len(heads)} heads have a role"
    shown = Table(title, "head", "role", "attention", "95 %", "chance")
    best = sorted(known, key=lambda row: -row["scores"][row["role"]])
    for row in best[:SHOWN]:
        low, high = row["interval"]
        shown.add(
            f"{row['layer']}.{row['head']}", row["role"], f"{row['scores'][row['role']]:.2f}",
            f"{low:.2f} .. {high:.2f}", f"{row['chance'][row['role']]:.2f}",
        )  # fmt: skip
    return shown


def _pieces(report: dict[str, Any]) -> Table:
    shown = Table("\neffective rank of maps", "piece", "map", "rank", "of", "stable rank")
    for name, maps in report["pieces"].items():
        for part, found in maps.items():
            shown.add(
                name, part, f"{found['effective_rank']:.0f}", str(found["dimensions"]),
                f"{found['stable_rank']:.1f}",
            )  # fmt: skip
    return shown


def _taps(report: dict[str, Any]) -> Table:
    shown = Table("\nhidden states", "tap", "effective rank", "participation", "of")
    for tap, found in report["taps"].items():
        shown.add(
            tap, f"{found['effective_rank']:.1f}", f"{found['participation']:.1f}",
            str(found["dimensions"]),
        )  # fmt: skip
    return shown


def _layers(found: dict[str, Any]) -> Table:
    title = (
        f"\nlayers most alike those of {found['against']}, linear CKA, {found['rows']} held-out "
        "positions"
    )
    shown = Table(title, "its layer", "ours", "CKA", "shuffled")
    for theirs in sorted({pair["theirs"] for pair in found["pairs"]}):
        best = max((p for p in found["pairs"] if p["theirs"] == theirs), key=lambda p: p["cka"])
        shown.add(str(theirs), str(best["ours"]), f"{best['cka']:.2f}", f"{best['shuffled']:+.2f}")
    return shown
