"""Cells of a comparison as a report: a row for each method, and how BASIS stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from transplant.evaluation.intervals import paired_bootstrap

OWN, FULL = "basis", "full"


def summary(
    raw: Mapping[str, Any],
    searched: Mapping[str, Sequence[Mapping[str, Any]]],
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    ablations: Mapping[str, bool],
) -> dict[str, Any]:
    """The rows of the report, and how BASIS stands beside the best peer.

    Args:
        raw: the cell of the backbone alone.
        searched: of each method, the cells of its search.
        found: of each method, its cells at the chosen rate, seeds that failed there among them.
        ablations: of each method, whether it is an ablation of BASIS.
    """
    rows = [*_rows(raw, searched, found)]
    peers = [
        row for row in rows
        if "rate" in row and row["method"] not in (OWN, FULL) and not ablations[row["method"]]
    ]  # fmt: skip
    best = min(peers, key=lambda row: row["calibration"], default=None)
    report: dict[str, Any] = {
        "raw": {text: _loss(raw, text) for text in ("domain", "other")}, "rows": rows,
    }  # fmt: skip
    if found.get(OWN):
        for row in rows:
            if "rate" in row and row["method"] != OWN:
                theirs = _trained(found[row["method"]])
                row["basis_minus_it"] = _difference(_trained(found[OWN]), theirs)
    if best is not None and found.get(OWN):
        report["best_peer"] = best["method"]
        report["verdict"] = verdict(best["basis_minus_it"]["interval"])
    return report


def verdict(interval: Sequence[float]) -> str:
    """How BASIS stands, by the interval of its loss minus the other's."""
    if interval[0] > 0:
        return "worse"
    return "better" if interval[1] < 0 else "tie"


def _rows(
    raw: Mapping[str, Any],
    searched: Mapping[str, Sequence[Mapping[str, Any]]],
    found: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Iterator[dict[str, Any]]:
    for name, cells in found.items():
        if not cells:
            reason = next(iter(searched[name]))["unavailable"]
            yield {"method": name, "unavailable": reason}
            continue
        ours = _trained(cells)
        failed = {str(one["seed"]): one["unavailable"] for one in cells if "unavailable" in one}
        losses = [_loss(one, "domain") for one in ours]
        other = [_loss(one, "other") - _loss(raw, "other") for one in ours]
        yield {
            "method": name, "rate": ours[0]["rate"], "trainable": ours[0]["trainable"],
            "seeds": [one["seed"] for one in ours], **({"failed_seeds": failed} if failed else {}),
            "calibration": ours[0]["calibration"],
            "domain": float(np.mean(losses)), "domain_by_seed": losses,
            "forgetting": float(np.mean(other)), "forgetting_by_seed": other,
            "rates": {f"{one['rate']:g}": one.get("calibration") for one in searched[name]},
            **{
                key: float(np.mean([one[key] for one in ours]))
                for key in ("prepare_seconds", "train_seconds")
            },
            "peak_bytes": max((one["peak_bytes"] or 0 for one in ours), default=0) or None,
        }  # fmt: skip


def _trained(cells: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that were trained to their end: the first one is, as its rate was chosen by it."""
    return [one for one in cells if "unavailable" not in one]


def _loss(cell: Mapping[str, Any], text: str) -> float:
    score = cell["scores"][text]
    return sum(score["nats"]) / sum(score["tokens"])


def _difference(
    ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Mean over the seeds that both have, of loss minus loss; interval over documents."""
    both = {one["seed"] for one in ours} & {one["seed"] for one in theirs}
    sides = [
        np.mean([one["scores"]["domain"]["nats"] for one in side if one["seed"] in both], axis=0)
        for side in (ours, theirs)
    ]
    tokens = ours[0]["scores"]["domain"]["tokens"]
    interval = paired_bootstrap(sides[0], sides[1], tokens)
    return {"mean": interval.mean, "interval": interval.as_list()}
