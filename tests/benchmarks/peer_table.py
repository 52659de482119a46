"""The table of peers: gains in nats and shares of the ceiling's gain, from what cells left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from transplant.evaluation.evidence import difference
from transplant.evaluation.intervals import Interval, ratio_interval
from transplant.evaluation.likelihood import Likelihood
from transplant.tables.shares import bound_text

LEAST = 0.05  # nats per token that the ceiling must gain
RAW, CEILING, BUDGETED = "raw", "retrained", "retrained, the budget"
COLUMNS = (
    "method", "nats per token over raw, 95 %", "share of the retrained, 95 %",
    "minus retrained on budget, 95 %", "seconds",
)  # fmt: skip
Cells = Mapping[str, Mapping[str, Any]]


def as_lists(scored: Likelihood) -> dict[str, list[float]]:
    """A likelihood for JSON."""
    return {"nats": scored.nats.tolist(), "tokens": scored.tokens.tolist()}


def likelihood(row: Mapping[str, Any]) -> Likelihood:
    """What `as_lists` gave."""
    nats, tokens = (torch.tensor(row[name], dtype=torch.float64) for name in ("nats", "tokens"))
    return Likelihood(nats, tokens)


def gain_of(cells: Cells, name: str) -> Interval:
    """By how many nats per token a cell is better than the raw target on the same windows."""
    row = cells[name]
    return difference(likelihood(row.get("own_raw", cells[RAW])), likelihood(row))


def has_ceiling(cells: Cells) -> bool:
    """Whether the ceiling gains enough, and beyond its interval, that shares may be given."""
    if RAW not in cells or CEILING not in cells:
        return False
    gain = gain_of(cells, CEILING)
    return gain.mean >= LEAST and gain.low > 0


def share_of(cells: Cells, name: str) -> Interval | None:
    """(raw - cell) / (raw - retrained), documents resampled whole; None without a ceiling.

    A cell that read other windows brings the raw target and the ceiling on those.
    """
    if not has_ceiling(cells) or name not in cells or "nats" not in cells[name]:
        return None
    row = cells[name]
    gained = likelihood(row.get("own_raw", cells[RAW])).nats - likelihood(row).nats
    base, top = (likelihood(row.get(one, cells[one])).nats for one in (RAW, CEILING))
    return ratio_interval(gained.numpy(), (base - top).numpy())


def over_budget(cells: Cells, name: str) -> Interval | None:
    """By how many nats per token a cell is better than a LoRA retrained on the budget, paired.

    Documents are resampled whole. None where either was not measured, or where the cell read other
    windows.
    """
    if name == BUDGETED or any("nats" not in cells.get(one, {}) for one in (name, BUDGETED)):
        return None
    ours, theirs = likelihood(cells[name]), likelihood(cells[BUDGETED])
    if ours.tokens.tolist() != theirs.tokens.tolist():
        return None
    return difference(theirs, ours)


def lines(cells: Cells, names: Iterable[str]) -> list[tuple[str, ...]]:
    """Rows of the table, under `COLUMNS`: numbers with their intervals, and seconds."""
    found: list[tuple[str, ...]] = []
    for name in names:
        row = cells.get(name)
        if row is None or name == RAW or RAW not in cells:
            continue
        if "nats" not in row:
            found.append((name, str(row["not_possible"]), "", "", ""))
            continue
        share, ahead = share_of(cells, name), over_budget(cells, name)
        found.append((
            name, _text(gain_of(cells, name), "+.3f"),
            "no ceiling" if share is None else _text(share, ".3f"),
            "" if ahead is None else _text(ahead, "+.3f"), f"{row['seconds']:.0f}",
        ))  # fmt: skip
    return found


def _text(value: Interval, form: str) -> str:
    low, high = (bound_text(bound, form) for bound in value.as_list())
    return f"{value.mean:{form}} ({low} to {high})"
