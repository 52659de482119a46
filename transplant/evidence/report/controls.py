"""Sections of a report on what a move is held against: NIB, controls, attributable shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transplant.evaluation.evidence import RAW
from transplant.evidence.report.runs import Run
from transplant.evidence.report.wording import at, is_number, number, plain, within
from transplant.pictures.document.blocks import (
    Bar,
    Bars,
    Block,
    Facts,
    Paragraph,
    Section,
    TableBlock,
)
from transplant.tables.shares import bounds_in
from transplant.tables.systems import NOTES, OTHER_DOMAIN, ROLES, role_of
from transplant.tables.table import Table

CRITERIA = {
    "top5": "overlap of the five likeliest tokens",
    "top1": "agreement on the likeliest token",
    "js": "Jensen-Shannon divergence, nats",
    "entropy": "difference of entropy, nats",
}


def nib_section(runs: Sequence[Run]) -> Section:
    """Each Non-Inferiority Benchmark: measured against its thresholds."""
    blocks: list[Block] = []
    missing: list[str] = []
    for run in runs:
        found = run.data if run.kind == "nib" else run.data.get("nib")
        if run.kind not in ("nib", "move") or not isinstance(found, Mapping):
            continue
        anchor = run.data.get("anchor", "the native module")
        title = f"{run.title} against {anchor}"
        if found.get("pass") is None:
            missing.append(f"NIB of {title}: {found.get('why', 'not run')}")
            continue
        table = Table("", "criterion", "measured", "threshold", "verdict")
        for key, said in CRITERIA.items():
            table.add(
                said, within(found.get(key), at(found, "interval", key)),
                number(at(found, "thresholds", key), "g"),
                str(at(found, "verdicts", key) or ""),
            )  # fmt: skip
        blocks.append(TableBlock(table, f"{title}: {found.get('verdict')}"))
    if not blocks and not missing:
        missing.append("a NIB: `nib(anchor='NAME@BACKBONE', candidate='NAME@BACKBONE')`")
    return Section("Non-inferiority (NIB)", blocks, missing)


def controls_section(runs: Sequence[Run]) -> Section:
    """What each move recovers beside its controls, and what is the donor's and the module's."""
    blocks: list[Block] = []
    missing: list[str] = []
    for run in runs:
        if run.kind != "move":
            continue
        data = run.data
        shares = data.get("recovered")
        if "no_ceiling" in data or not isinstance(shares, Mapping):
            missing.append(f"shares of {run.title}: {data.get('no_ceiling', 'none on record')}")
        else:
            blocks += _bars_of(run, shares)
        if rows := _shares(data):
            blocks.append(Facts(rows))
        if isinstance(data.get("ppl"), Mapping):
            table = Table("", "system", "perplexity")
            for name, ppl in data["ppl"].items():
                table.add(plain(name), number(ppl, ".2f"))
            blocks.append(TableBlock(table))
    if not blocks and not missing:
        missing.append("controls: `transfer(module='NAME@BACKBONE', to='BACKBONE')`")
    return Section("Recovered, beside controls", blocks, missing)


def _bars_of(run: Run, shares: Mapping[str, Any]) -> list[Block]:
    bars = [
        Bar(
            plain(name), float(value), *(bounds_in(bounds_of(run.data, name)) or (None, None)),
            note=NOTES.get(name, OTHER_DOMAIN), role=role_of(name),
        )
        for name, value in sorted(shares.items(), key=lambda item: ROLES.index(role_of(item[0])))
        if is_number(value) and name != RAW
    ]  # fmt: skip
    found: list[Block] = []
    if bars:
        axis = "recovered: 0 is the raw backbone, 1 the native module"
        found.append(Bars(bars, axis, run.title))
        if all(bar.low is None for bar in bars):
            said = "No intervals are on record for these shares."
            found.append(Paragraph(said, quiet=True))
    return found


def _shares(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for share, control in (("donor", "best_donor_free"), ("module", "best_module_free")):
        key = f"{share}_attributable"
        if data.get(control) is not None:
            said = within(data.get(key), at(data, "interval", key))
            less = f"candidate minus {plain(data[control])}"
            rows.append((f"{share}-attributable", f"{said}: {less}"))
    documents, tokens = at(data, "eval", "documents"), at(data, "eval", "tokens")
    if is_number(documents) and is_number(tokens):
        rows.append(("judged on", f"{tokens:,} tokens of {documents:,} held-out documents"))
    return rows


def bounds_of(data: Mapping[str, Any], system: str) -> object:
    """The interval of what a system recovers, as it is on record."""
    return at(data, "interval", "recovered", system)
